"""Many sets, each protected once by whichever process it falls to, with what failed collected and told at the end."""

from __future__ import annotations

import contextlib
import enum
import errno
import functools
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from udp.captions import unread_caption
from udp.catalogue.index import write_index
from udp.catalogue.layout import RECORDS, SETTINGS, Layout, set_title
from udp.catalogue.listing import Listing, PhotoGroup, known_digest, list_sets
from udp.catalogue.notes import Notes
from udp.catalogue.rows import made_row, with_columns
from udp.catalogue.shards import check_parquet, packed_sets
from udp.catalogue.shares import Share
from udp.digests import digest
from udp.errors import InvalidInput, Stopped, UDPError
from udp.files import MANIFEST, finishing, probe, shown, write_json
from udp.language import ENGLISH
from udp.models.base import DiffusionModel
from udp.photo_files import survey_files, with_captions
from udp.photos import shown_name, together
from udp.progress import Count, OnProgress, Progress, Stage, counting, ignore_progress
from udp.protection.base import ProtectionMethod
from udp.protection.division import set_seed
from udp.protection.output import Controls
from udp.protection.sets import protect_files
from udp.settings import check_settings, check_switch, check_text, describe_settings, publish_settings

FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Summary:
    """What a process did, and what it found of the whole.

    `sets` and `photos` are those of its share, of which it made `made` sets now and left `elsewhere` to other processes that were at
    them; `failed` has a sentence for each of its own sets that failed. `complete` says that every set of the catalogue is finished
    or failed, so that the index could be written; then `failures` is what `failures.json` holds, of all shares.
    """

    sets: int
    photos: int
    made: int
    failed: dict[str, str]
    complete: bool
    failures: dict[str, Any] = field(default_factory=dict)
    elsewhere: int = 0


class Outcome(enum.Enum):
    """What became of a set when its turn came: it was made, found made by another process, left to one that is at it, or failed."""

    MADE = enum.auto()
    FOUND = enum.auto()
    ELSEWHERE = enum.auto()
    FAILED = enum.auto()


@dataclass(frozen=True)
class Catalogue:
    """All that decides the result: a source, where it goes, and what is done with each set. It can be sent to other processes."""

    source: Path
    out: Path
    method: ProtectionMethod
    model: str
    prompt: str
    seed: int
    layout: Layout = field(default_factory=Layout)
    captions: bool = True  # whether a photo goes by the text beside it

    @property
    def notes(self) -> Notes:
        """What was noted of it."""
        return Notes(self.out)

    def begin(self) -> Listing:
        """The list of sets, when everything is checked that can be without a model. Raises `InvalidInput`."""
        check_settings(self.method)
        check_settings(self.layout)
        check_text("the prompt", self.prompt)
        check_parquet(self.layout)
        check_switch("captions", self.captions)
        _check_places(self.source, self.out, self.notes.begun)
        listing = list_sets(self.source, self.layout, self.notes.folder)
        self.notes.agree(self.made_with, note=False)
        self.notes.agree_on_source(self.source, listing.groups, note=False)
        return listing

    @property
    def made_with(self) -> dict[str, Any]:
        """What all sets of a catalogue have in common, but for the model's weights."""
        return {
            "method": self.method.name, "settings": publish_settings(self.method), "model": Path(self.model).name,
            "prompt": self.prompt, "seed": self.seed, "layout": describe_settings(self.layout), "captions": self.captions,
        }  # fmt: skip

    def key(self, group: PhotoGroup) -> str:
        """What a set is made from, but for the photos' contents and the model's weights."""
        settings = [
            self.method.name,
            describe_settings(self.method),
            self.prompt,
            self.seed,
            self.layout.groups,
            self.layout.twins,
        ]
        return digest([settings, group.name, group.originals(), self.captions])

    def finished(self, group: PhotoGroup, packed: frozenset[str] = frozenset()) -> bool:
        """Whether there is nothing to do for a set; `packed` are the names of those that lie in shards.

        Raises `InvalidInput` if one of those has changed since. One whose note was lost or is damaged is made again for that note.
        """
        found = self.notes.rows(group, self.key(group), group.name in packed) is not None
        if not found and group.name in packed and self.notes.finished_set(group.name):
            raise InvalidInput(
                f"expected the photos of the set {group.name!r} as they were when it was packed into a shard, got others: choose another "
                "folder (--out)"
            )
        return found

    def looked_at(self) -> Callable[[PhotoGroup], bool]:
        """`finished`, by the shards that there are when it is asked first."""
        packed = functools.cache(lambda: packed_sets(self.out))
        return lambda group: self.finished(group, packed())

    def attempt(
        self, group: PhotoGroup, model: DiffusionModel, on_progress: OnProgress = ignore_progress, launch: str = ""
    ) -> tuple[Outcome, str]:
        """Protect a set and note that it is finished, or why it failed; what became of it, and if it was not finished, why.

        A set that another process is at is left to it. `launch` is `Share.launch`. Raises `Stopped`, and the `OSError` of a full disk:
        what would fail all sets that follow is no failure of this one.
        """
        with self.notes.claimed(group.name) as claimed:
            if not claimed:
                return Outcome.ELSEWHERE, "another process is at it"
            # Since the list was made another process may have finished it, and packed it, too.
            try:
                note = self.notes.finished_set(group.name)
                if note and self.finished(group, packed_sets(self.out)):
                    return Outcome.FOUND, ""
            except InvalidInput as error:
                return Outcome.FAILED, str(error)
            said = self._attempt(group, model, on_progress, launch)
        return (Outcome.FAILED, said) if said else (Outcome.MADE, "")

    def _attempt(self, group: PhotoGroup, model: DiffusionModel, on_progress: OnProgress, launch: str) -> str:
        failure = self.notes.failure(group.name)
        failure.unlink(missing_ok=True)
        try:
            self._protect(group, model, on_progress)
        except Stopped:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            said = shown(str(error) if isinstance(error, UDPError) else f"{type(error).__name__}: {error}")
            trace = {} if isinstance(error, UDPError) else {"trace": shown(traceback.format_exc())}
            failure.parent.mkdir(parents=True, exist_ok=True)
            write_json(failure, {"set": group.name, "error": said, "launch": launch, **trace})
            return said
        return ""

    def _protect(self, group: PhotoGroup, model: DiffusionModel, on_progress: OnProgress) -> None:
        seed = set_seed(self.seed, group.name)
        controls = Controls.CLEAN if self.layout.twins else Controls.NONE
        most = 1 if self.layout.groups == "one" else None
        self.notes.clear_damaged(group.name)
        # All of the source that decides a row is looked at before the work, so that the next run sees what changes meanwhile.
        stats, told_by, more = group.stats(), group.told_by(), group.more()
        with (
            finishing(self.notes.mark(group.name), self.key(group)) as note,
            group.opened(self.notes.room(group)) as paths,
        ):
            note["set"], note["stats"], note["told_by"] = group.name, stats, told_by
            found = survey_files(paths)
            read = {file.path: file.sha256 for file in found.files}
            note["sha256"] = [read.get(path) or known_digest(path) for path in paths]
            if not self.captions:
                found = replace(found, files=tuple(with_captions(found.files, "off")))
            manifest = protect_files(
                found,
                self.out / group.name,
                self.method,
                model,
                self.prompt,
                seed,
                on_progress,
                None,
                controls,
                most,
            )
            note["of"] = [paths.index(file.path) for file in found.files]
            originals = group.originals()
            made = [
                made_row(group.name, manifest, row, originals[index], file.sha256, self.layout.twins)
                for file, index, row in zip(found.files, note["of"], manifest["photos"], strict=True)
            ]
            note["rows"] = [with_columns(row, more[index]) for row, index in zip(made, note["of"], strict=True)]
            names = [row[key] for row in made for key in ("file_name", "clean_file_name") if key in row]
            names.append(str(PurePosixPath(group.name, MANIFEST)))
            note["made"] = {name: (self.out / name).stat().st_size for name in names}
            note["left_out"] = [ENGLISH.say(reason) for reason in found.skipped]
            note["captions"] = _unread_captions(paths) if self.captions and not group.sharded else []


def protect_many(
    catalogue: Catalogue,
    load: Callable[[], DiffusionModel],
    share: Share = Share(),  # noqa: B008, it is frozen
    on_progress: OnProgress = ignore_progress,
    say: Callable[[str], None] = lambda _: None,
) -> Summary:
    """Protect the sets of `catalogue` that fall to `share` and are not finished; the last of all processes writes the index.

    The same call again goes on with what is not finished, whether a set failed, was never begun or was ended in the middle,
    with any number of processes. `load` gives the model, and is called only if there is work; `say` hears of each failure
    at once. Raises `InvalidInput` before any work, what `load` raises, `Stopped`, and the `OSError` of a full disk.
    """
    listing = catalogue.begin()
    packed = packed_sets(catalogue.out)
    mine = [listing.groups[index] for index in share.of(len(listing.groups))]
    if listing.notices and share.index == 0:
        say(together(listing.notices))
    failed: dict[str, str] = {}
    todo: list[PhotoGroup] = []
    for group in mine:
        try:
            todo += [] if catalogue.finished(group, packed) else [group]
        except InvalidInput as error:
            failed[group.name] = str(error)
    load = functools.cache(load)
    found = _work(catalogue, listing, todo, mine, load, share, failed, on_progress, say)
    made = [group for group in todo if found.get(group.name) is Outcome.MADE]
    if changed := _changed(made, catalogue.looked_at()):  # their photos, during the work
        found |= _work(catalogue, listing, changed, mine, load, share, failed, on_progress, say)
    complete, failures = write_index(catalogue.notes, listing, catalogue.layout, catalogue.looked_at(), share)
    photos, count = sum(len(group.files) for group in mine), Counter(found.values())
    return Summary(len(mine), photos, count[Outcome.MADE], failed, complete, failures, count[Outcome.ELSEWHERE])


def _changed(made: Sequence[PhotoGroup], is_finished: Callable[[PhotoGroup], bool]) -> list[PhotoGroup]:
    """Those that have to be made again. One that another process has packed by now cannot be; `write_index` says so."""
    found = []
    for group in made:
        with contextlib.suppress(InvalidInput):
            found += [] if is_finished(group) else [group]
    return found


def _work(
    catalogue: Catalogue,
    listing: Listing,
    todo: Sequence[PhotoGroup],
    mine: Sequence[PhotoGroup],
    load: Callable[[], DiffusionModel],
    share: Share,
    failed: dict[str, str],
    on_progress: OnProgress,
    say: Callable[[str], None],
) -> dict[str, Outcome]:
    """Do what is to be done, collecting failures in `failed`; what became of the sets, by name."""
    outcomes = dict[str, Outcome]()
    of_photos, left = (sum(len(group.files) for group in groups) for groups in (mine, todo))
    count = Count(of_photos - left, of_photos, len(mine) - len(todo), len(mine))
    if count.sets:
        counting(on_progress, count, 0)(Progress(Stage.PROTECTED_EARLIER, 0, 1))
    if not todo:
        return outcomes
    model = load()
    catalogue.method.check_model(model, catalogue.prompt)  # what would fail every set fails once
    catalogue.notes.agree({**catalogue.made_with, "weights": model.fingerprint})
    catalogue.notes.agree_on_source(catalogue.source, listing.groups)
    for group in todo:
        outcome, said = catalogue.attempt(group, model, counting(on_progress, count, len(group.files)), share.launch)
        outcomes[group.name] = outcome
        if outcome is Outcome.FAILED:
            failed[group.name] = said
            say(f"failed: {set_title(group.name)}: {said}")
        count = Count(count.photos + len(group.files), of_photos, count.sets + 1, len(mine))
    counting(on_progress, count, 0)(Progress(Stage.FINISHED, 0, 1))
    return outcomes


def _unread_captions(photos: Sequence[Path]) -> list[str]:
    found = {photo: unread_caption(photo) for photo in photos}
    return [f"{shown_name(photo.with_suffix('.txt'))}: {why}" for photo, why in found.items() if why]


def _check_places(source: Path, out: Path, begun: bool) -> None:
    probe(out, (), (out / SETTINGS,))
    strange = [name for name in RECORDS if not begun and (out / name).exists()]
    if strange:
        raise InvalidInput(
            f"expected the output folder (--out) to be a new one, or one in which this command began, got {str(out)!r} with somebody else's "
            f"{strange[0]!r}, which would be replaced: choose another folder"
        )
    try:
        here, there = source.resolve(), out.resolve()
    except (OSError, ValueError, RuntimeError):
        return
    if here == there or here in there.parents or (source.is_dir() and there in here.parents):
        raise InvalidInput(
            f"expected the output folder (--out) apart from the source, got {str(out)!r} for {str(source)!r}: neither may lie in the other"
        )
