"""`udp protect`."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

from udp.cli.common import Ticker, add_common_flags, apply_preset, say, survey_places, unwritable
from udp.cli.flags import add_setting_flags, from_flags, refuse_unused
from udp.files import typed_path
from udp.imitation.prompts import PRESETS
from udp.models.loading import load_model
from udp.photo_files import find_masks, with_captions
from udp.protection.methods import METHODS
from udp.protection.output import check_ready
from udp.protection.sets import protect_files


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of the command, those of every method among them."""
    parser.add_argument("photos", type=typed_path, nargs="+", help="a folder of photos, or photos")
    parser.add_argument("--out", type=typed_path, required=True, help="folder for the protected PNGs and manifest.json")
    parser.add_argument("--method", choices=tuple(METHODS), default="eudp", help="how to protect (default eudp)")
    parser.add_argument("--prompt", help="what the photos are assumed to show (default: the preset's instance prompt)")
    parser.add_argument(
        "--mask", type=typed_path, help="a folder of masks named like the photos: bright regions are protected"
    )
    add_setting_flags(parser, METHODS)
    add_common_flags(parser)


def run(options: argparse.Namespace) -> None:
    """`python -m udp protect`."""
    refuse_unused(options, METHODS, [options.method])
    apply_preset(PRESETS[options.preset], options)
    check_ready(options.out, options.photos)
    photos = survey_places(options.photos)
    photos = replace(photos, files=tuple(with_captions(photos.files, options.captions)))
    method = from_flags(METHODS[options.method], options)
    masks = find_masks(options.mask, photos.files, say) if options.mask else None
    model, ticker = load_model(options.model), Ticker()
    with unwritable(options.out):
        manifest = protect_files(photos, options.out, method, model, options.prompt, options.seed, ticker, masks)
    if photos.skipped:
        say(f"not protected, see above: {len(photos.skipped)} of {len(photos.files) + len(photos.skipped)} files")
    print(
        f"\n{len(photos.files)} photo{'s' * (len(photos.files) != 1)} in {time.monotonic() - ticker.start:.0f} s, largest difference "
        f"{max(row['largest_difference_levels'] for row in manifest['photos'])}/255 -> {options.out}"
    )
