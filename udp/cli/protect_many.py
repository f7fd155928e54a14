"""`udp protect-many`: a catalogue of sets, by one process or many."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from udp.catalogue.layout import FAILURES, METADATA, Layout, set_title
from udp.catalogue.many import Catalogue, Summary, protect_many
from udp.catalogue.notes import NOTES
from udp.catalogue.shares import ARRAY, own_process, share_of
from udp.cli.common import Ticker, add_common_flags, apply_preset, say, unwritable
from udp.cli.flags import add_setting_flags, from_flags, refuse_unused
from udp.errors import InvalidInput, UDPError
from udp.files import shown, typed_path
from udp.imitation.prompts import PRESETS
from udp.models.loading import load_model
from udp.photos import together
from udp.protection.methods import METHODS


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of the command, those of every method among them."""
    parser.add_argument(
        "source",
        type=typed_path,
        help="a tree of folders of photos, an ImageFolder with metadata.jsonl, a folder of WebDataset shards, or one shard",
    )
    parser.add_argument(
        "--out", type=typed_path, required=True, help="folder for the protected data set; run again to go on"
    )
    parser.add_argument("--method", choices=tuple(METHODS), default="eudp", help="how to protect (default eudp)")
    parser.add_argument("--prompt", help="what the photos are assumed to show (default: the preset's instance prompt)")
    parser.add_argument(
        "--shard",
        help="i/n: do the i-th of n parts of the sets, from 1 (default: this task's of a Slurm job array, or else all)",
    )
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on where an earlier run ended; with --no-resume, OUT must be new (default yes)",
    )
    add_setting_flags(parser, {"protect-many": Layout})
    add_setting_flags(parser, METHODS)
    add_common_flags(parser)


def run(options: argparse.Namespace) -> None:
    """`python -m udp protect-many`."""
    refuse_unused(options, METHODS, [options.method])
    apply_preset(PRESETS[options.preset], options)
    if not options.resume and (options.out / NOTES).exists():
        raise InvalidInput(
            f"expected a new folder (--out) with --no-resume, got {str(options.out)!r}, where a run has begun"
        )
    if options.captions not in (None, "off"):
        raise InvalidInput(
            f"expected --captions off, or nothing, for captions beside the photos of each set, got {options.captions!r}"
        )
    method, layout = from_flags(METHODS[options.method], options), from_flags(Layout, options)
    share = own_process().within(share_of(options.shard))
    if share.count > share.launched and share.index % share.launched == 0:
        by = "" if options.shard else f", by {ARRAY}ID"
        say(f"part {share.index // share.launched + 1} of {share.count // share.launched} of the sets{by}")
    ticker, start = Ticker(), time.monotonic()
    ticker.shown &= share.index == 0
    catalogue = Catalogue(
        options.source,
        options.out,
        method,
        options.model,
        options.prompt,
        options.seed,
        layout,
        options.captions != "off",
    )
    with unwritable(options.out):
        found = protect_many(catalogue, lambda: load_model(options.model), share, ticker, say)
    earlier = found.sets - found.made - len(found.failed) - found.elsewhere
    left = f"{found.elsewhere} left to another process that is at them, " if found.elsewhere else ""
    print(
        f"\n{found.made} sets in {time.monotonic() - start:.0f} s, {earlier} made earlier, {left}{len(found.failed)} failed, of {found.sets} "
        f"with {found.photos} photos that were this process's -> {shown(str(options.out))}"
    )
    tell(options.out, found)


def tell(out: Path, found: Summary) -> None:
    """What is amiss. Raises `UDPError` if sets failed and no other process is at work, which a launcher would end for it."""
    if not found.complete:
        print(
            "not all sets are done: the process that ends last writes the index; if none is at work, run the same command again"
        )
        return
    kinds = ("sets", "photos", "captions", "missing", "gone")
    sets, photos, captions, missing, gone = (found.failures[kind] for kind in kinds)
    if photos:
        say(f"{sum(map(len, photos.values()))} photos could not be read, see {FAILURES}")
    if captions:
        told = [f"{name}/{said}" if name else said for name, files in captions.items() for said in files]
        say(f"captions that could not be read, whose photos went by the prompt: {together(told)}")
    if missing:
        say(f"{METADATA} names files that are not there: {together(missing)}")
    if gone:
        say(f"no longer in the source, and not in the index: {together(gone)}")
    if sets:
        told = [f"{set_title(name)}: {said}" for name, said in sets.items()]
        raise UDPError(
            f"expected all sets to be protected, got {len(sets)} that failed, see {str(out / FAILURES)!r}; the same command tries them again: "
            f"{together(told)}"
        )
