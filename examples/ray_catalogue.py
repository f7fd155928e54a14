"""A catalogue of millions on a Ray cluster: actors that hold the model, one set a call, and Ray Data's own checkpoints.

    pip install "ray[data]"
    python -m examples.ray_catalogue PHOTOS --out OUT                        # every machine of the cluster sees both folders
    python -m examples.ray_catalogue PHOTOS --out OUT --workers 16 --gpus 1  # an actor a GPU

The method is PhotoGuard, which needs the encoder alone, and every photo is a set: nothing couples the photos of millions, and no
surrogate is trained. What an actor writes is what `udp protect-many --groups one` writes, byte for byte, with the same notes, so
that either goes on where the other stopped. Ray hands the sets out as actors become free, starts those of a lost machine
elsewhere, and passes over what its checkpoint has; a set that failed is in no checkpoint, and is tried again by the next run.
"""

from __future__ import annotations

import argparse
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from ray.data.checkpoint import CheckpointConfig

from udp import METHODS, load_model
from udp.catalogue.index import write_index
from udp.catalogue.layout import Layout
from udp.catalogue.listing import PhotoGroup
from udp.catalogue.many import Catalogue
from udp.digests import digest


class Protector:
    """An actor: it loads the model once and protects set after set."""

    def __init__(self, catalogue: Catalogue) -> None:
        """On the GPU that Ray gives it, if it does."""
        self.catalogue, self.model = catalogue, load_model(catalogue.model)
        catalogue.method.check_model(self.model, catalogue.prompt)
        catalogue.notes.agree({**catalogue.made_with, "weights": self.model.fingerprint})

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """A set that is listed becomes one that is finished, or one with an error."""
        group = PhotoGroup(row["name"], Path(row["place"]), tuple(row["files"]), row["inside"])
        finished = self.catalogue.finished(group)
        error = "" if finished else self.catalogue.attempt(group, self.model)[1]
        return {"id": row["id"], "name": group.name, "photos": len(group.files), "error": error}


def write_list(catalogue: Catalogue, groups: Sequence[PhotoGroup], blocks: int) -> Path:
    """A folder with the list of sets in Parquet files, of which an actor takes one at a time. (What is read has checkpoints.)

    A set's id is another one when its photos are others, in name, size or time of change, and in each run that finds it unfinished, so
    no checkpoint is taken for it.
    """
    run = uuid.uuid4().hex
    folder = catalogue.notes.folder / "ray-list"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = [
        {
            "id": digest([catalogue.key(g), g.stats(), "" if catalogue.finished(g) else run]),
            "name": g.name,
            "place": str(g.place),
            "files": list(g.files),
            "inside": g.inside,
        }
        for g in groups
    ]
    for block in range(min(blocks, len(rows))):
        pq.write_table(pa.Table.from_pylist(rows[block::blocks]), folder / f"{block:06}.parquet")
    return folder


def main(arguments: list[str] | None = None) -> None:
    """List, hand out, and write the index."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="a tree of folders, or WebDataset shards")
    parser.add_argument("--out", type=Path, required=True, help="a folder that all machines see; run again to go on")
    parser.add_argument("--method", choices=tuple(METHODS), default="photoguard")
    parser.add_argument("--steps", type=int, default=200, help="PGD steps of a method that makes any (default 200)")
    parser.add_argument("--model", default="mini", help="a model's name, a diffusers folder or a Hub id")
    parser.add_argument("--group-size", type=int, default=50, help="photos that one call of an actor protects")
    parser.add_argument("--workers", type=int, default=2, help="actors")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs an actor (default 0: it computes on processors)")
    options = parser.parse_args(arguments)

    kind = METHODS[options.method]
    method = kind(pgd_steps=options.steps) if "pgd_steps" in kind.__dataclass_fields__ else kind()
    places = options.photos.resolve(), options.out.resolve()
    layout = Layout(groups="one", group_size=options.group_size)
    catalogue = Catalogue(*places, method, options.model, "a photo of sks", 0, layout)
    listing = catalogue.begin()
    catalogue.notes.agree_on_source(catalogue.source, listing.groups)
    if any(group.columns for group in listing.groups):
        parser.error(
            "expected a tree of folders or shards: `udp protect-many` alone carries the columns of metadata.jsonl along"
        )
    context = ray.data.DataContext.get_current()
    context.checkpoint_config = CheckpointConfig(
        "id", str(catalogue.notes.folder / "ray"), delete_checkpoint_on_success=False
    )
    given = write_list(catalogue, listing.groups, blocks=16 * options.workers)
    # No core in Ray's books: on a machine whose every core had an actor, its own tasks (the list, the checkpoint) would wait for ever.
    resources = {"num_gpus": options.gpus, "num_cpus": 0, "scheduling_strategy": "SPREAD"}
    done = ray.data.read_parquet(str(given)).map(
        Protector,
        fn_constructor_args=[catalogue],
        compute=ray.data.ActorPoolStrategy(size=options.workers),
        **resources,
    )
    done.filter(lambda row: not row["error"]).write_parquet(str(catalogue.notes.folder / "ray-sets"))
    complete, failures = write_index(catalogue.notes, listing, layout, catalogue.looked_at())
    print(
        f"{len(listing.groups)} sets, {listing.photos} photos, {len(failures.get('sets', {}))} failed, complete: {complete} -> {options.out}"
    )


if __name__ == "__main__":
    main()
