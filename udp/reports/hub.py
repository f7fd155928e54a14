"""A protected set as a private dataset of its owner's on the Hugging Face Hub."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi

from udp.errors import InvalidInput, UploadFailed
from udp.files import MANIFEST

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


def save_as_dataset(photos: Sequence[Path], manifest: Mapping[str, Any], name: str, token: str, api: Any = None) -> str:
    """Upload protected PNGs, their manifest and a card in one commit to the private dataset `name` of the token's owner.

    It is made if it is not there. The pictures are an ImageFolder: metadata.jsonl says of each how visible the change is. `api`
    is a `huggingface_hub.HfApi` of that token. Returns the dataset's address. Raises `InvalidInput` for a name that the Hub does
    not take, no token, or a dataset of that name which anybody can see; `UploadFailed` with the Hub's reason.
    """
    if not NAME.fullmatch(name) or ".." in name or "--" in name or name.endswith((".", "-", ".git")):
        raise InvalidInput(
            f"expected a dataset's name of up to 96 letters, digits, '.', '-' and '_', got {name[:100]!r}"
        )
    if not token.strip():
        raise InvalidInput("expected an access token of your account that may write, got none")
    try:
        return _upload(photos, manifest, name, api or HfApi(token=token.strip()))
    except InvalidInput:
        raise
    except Exception as error:  # a wrong token, no network, a refusal: the classes change with the client's transport
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].replace(token.strip(), "...")
        raise UploadFailed(f"expected the Hub to take the photos, got: {reason}") from None


def _upload(photos: Sequence[Path], manifest: Mapping[str, Any], name: str, api: Any) -> str:
    options = {"repo_id": f"{api.whoami()['name']}/{name}", "repo_type": "dataset"}
    api.create_repo(**options, private=True, exist_ok=True)
    # One that was there before keeps its visibility, whatever was asked for.
    if not api.repo_info(**options).private:
        raise InvalidInput(f"expected {options['repo_id']} to be private, got a public dataset: choose another name")
    contents = {
        "README.md": card(manifest, len(photos)),
        MANIFEST: json.dumps(manifest, indent=2, ensure_ascii=False),
        "metadata.jsonl": metadata(manifest),
    }
    operations = [CommitOperationAdd(file, content.encode()) for file, content in contents.items()]
    operations += [CommitOperationAdd(path.name, str(path)) for path in photos]
    api.create_commit(**options, operations=operations, commit_message="Protected photos")
    return f"https://huggingface.co/datasets/{options['repo_id']}"


def metadata(manifest: Mapping[str, Any]) -> str:
    """A line a photo, as an ImageFolder has it: its file, size, and the figures of its change."""
    kept = ("largest_difference_levels", "psnr_db", "ssim")
    rows = (
        {"file_name": row["file"], "size": row["size"], **{key: row[key] for key in kept if key in row}}
        for row in manifest["photos"]
    )
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def card(manifest: Mapping[str, Any], count: int) -> str:
    """The dataset's README."""
    levels, model = manifest["budget_levels_of_255"], manifest["model"]
    return f"""---
tags:
- unlearnable-examples
viewer: false
---

# Protected photos

{count} photo{"" if count == 1 else "s"} protected by {manifest["method"]} against the model {model}: no pixel is changed by more than
{levels:g}/255. Every setting is in `{MANIFEST}`. Keep the PNGs as they are: JPEG and resizing weaken the protection, and other
models may learn from the photos all the same. The originals are not here.
"""
