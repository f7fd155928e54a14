"""The bytes of protect and attack at a fixed seed, as they were when `same_bytes.json` was recorded.

A refactoring must not change them. They hold for one processor and one version of torch: the sign of a gradient decides a step
of PGD, and on another machine the last bits of that gradient differ. Elsewhere the test is skipped, and says why. Who means to
change the bytes, or works on another machine, records them before the change:

    RECORD_DIGESTS=1 python -m pytest tests/test_same_bytes.py
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.methods import TABLE
from udp.digests import digest, photos_digest
from udp.evaluation.bench import run_trial
from udp.evaluation.trial import Trial
from udp.files import write_json
from udp.imitation.recipes import DreamBooth, LoRA, Recipe, TextualInversion
from udp.models.base import DiffusionModel
from udp.photos import Photo

RECORD = Path(__file__).with_name("same_bytes.json")
TRIAL = Trial(pictures=1, sampling_steps=3, guidance=2.0)
RECIPES: dict[str, Recipe] = {
    "dreambooth": DreamBooth(steps=10, batch_size=2),
    "lora": LoRA(steps=10, batch_size=2, rank=2),
    "textual_inversion": TextualInversion(steps=10, batch_size=2),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums are cut up by the threads there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def environment() -> dict[str, str]:
    """What the last bits of a sum depend on."""
    cpu = Path("/proc/cpuinfo")
    models = [line for line in cpu.read_text().splitlines() if line.startswith("model name")] if cpu.is_file() else []
    named = models[0].partition(":")[2].strip() if models else platform.processor()
    return {"torch": torch.__version__, "processor": named, "kernels": torch.backends.cpu.get_cpu_capability()}


def check(part: str, found: dict[str, str]) -> None:
    """Compare with the record of this environment, or write it where that is asked for."""
    record = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
    if os.environ.get("RECORD_DIGESTS"):
        kept = record if record.get("environment") == environment() else {}
        write_json(RECORD, {**kept, "environment": environment(), part: found})
        return
    if record["environment"] != environment():
        pytest.skip(f"recorded on {record['environment']}, this is {environment()}")
    assert found == record[part]


def test_protected_photos_have_the_bytes_of_the_record(tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    check(
        "protected",
        {
            name: photos_digest(method(photos[:2], tiny_model, "a photo of sks", 3))
            for name, method in TABLE.items()
            if name != "simac"  # its search alone takes as long as all the others
        },
    )


def test_an_attack_has_the_bytes_of_the_record(tiny_model: DiffusionModel, photos: list[Photo]) -> None:
    found = {}
    for name, recipe in RECIPES.items():
        report = run_trial({"clean": photos[:2], "protected": photos[1:]}, tiny_model, recipe, TRIAL)
        for arm in (report.base, *report.arms):
            pictures = [Photo("", np.ascontiguousarray(image)) for image in arm.images]
            losses = [f"{loss:.6f}" for loss in arm.losses]
            found[f"{name}/{arm.name}"] = digest([photos_digest(pictures), losses])
    check("attacked", found)
