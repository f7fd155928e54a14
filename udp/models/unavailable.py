"""Why a model could not be loaded, in one sentence, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from udp.models.checkpoint import PICKLES


def explain(
    name: str,
    source: str,
    error: BaseException,
    kind: str = "diffusers",
    index: str = "model_index.json",
    names: Sequence[str] = (),
) -> str:
    """Why loading failed and what to do, in one sentence, from the chain of errors that the libraries raised.

    `kind` is what a folder should have held, `index` the file that marks one, and `names` would have worked as well.
    """
    causes = list(_chain(error))

    def any_is(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if any_is(GatedRepoError):
        return (
            f"expected access to {source!r}, got a gated model: accept its licence on its Hub page, then log in with "
            f"`hf auth login` or set HF_TOKEN"
        )
    if any_is(OfflineModeIsEnabled, LocalEntryNotFoundError, ConnectionError):
        return (
            f"expected a network or a downloaded copy of {source!r}, got neither: connect once, or give a local folder"
        )
    folder = Path(source)
    if folder.is_dir():
        if not (folder / index).is_file():
            return f"expected a {kind} folder with {index}, got none in {name!r}{_nearby(folder, index)}"
        if any(word in str(error).lower() for word in ("size mismatch", "mismatched", "expected shape")):
            # What transformers says is about an option of its own.
            said = (
                "of other sizes" if "ignore_mismatched_sizes" in first_line(error) else f"others: {first_line(error)}"
            )
            return f"expected weights in {name!r} that match their config.json, got {said}: copy the whole model again"
        if _pickles_only(folder):
            return f"expected safetensors weights in {name!r}, got {_pickle_name(folder)}: pickles can run code, so convert them"
    elif any_is(RevisionNotFoundError, EntryNotFoundError):
        return f"expected a {kind} model on the Hub, got {source!r} without {index} or the pinned revision"
    elif any_is(RepositoryNotFoundError) or source.count("/") != 1:
        known = f"one of {', '.join(names)}, " if names else ""
        return f"expected {known}a local {kind} folder or a Hub id, got {name!r}"
    elif "safetensors" in str(error):
        return f"expected safetensors weights in {source!r}, got other formats only: pickles can run code"
    return f"expected a model that can be loaded, got {name!r}: {first_line(error)}"


def _nearby(folder: Path, index: str) -> str:
    """What was meant, perhaps, where a folder is no model."""
    inside = sorted(
        path.parent.relative_to(folder) for depth in ("*", "*/*") for path in folder.glob(f"{depth}/{index}")
    )
    if inside:
        return f": give the folder {str(inside[0])!r} in it"  # as in a download, or the Hub's cache
    if (folder.parent / index).is_file():
        return f": give the folder that it lies in, {folder.resolve().parent.name!r}"
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    return f": give a file in it, such as {files[0]!r}" if files else ""


def first_line(error: BaseException) -> str:
    """The first line that an error says, or what it is called."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _pickle_name(folder: Path) -> str:
    found = [path.name for pattern in PICKLES for path in sorted(folder.rglob(pattern))]
    return found[0] if found else "none"


def _pickles_only(folder: Path) -> bool:
    return _pickle_name(folder) != "none" and not any(folder.rglob("*.safetensors"))
