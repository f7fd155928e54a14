"""Peak memory and time of protection and fine-tuning, for a model and each set of memory options.

    python -m benchmarks.memory --model sd15 --photos examples/subject

Every line is measured in a process of its own, because a CPU process cannot reset its peak: on a GPU the figure is what
torch allocated, on a CPU the resident size of the whole process, Python and libraries included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch

from udp.finetune import DreamBooth, LoRA
from udp.images import list_photos, read_photos
from udp.models import MemoryOptions, load_model, peak_memory, reset_peak_memory
from udp.protect import EUDP, AdvDM

OPTIONS = {
    "none": MemoryOptions(),
    "checkpointing": MemoryOptions(checkpointing=True, tiling=True),
    "autocast": MemoryOptions(autocast=True),
    "both": MemoryOptions(autocast=True, checkpointing=True, tiling=True),
}
WORK = ("advdm", "eudp", "lora", "dreambooth")


def measure(model_name: str, folder: Path, work: str, options: str, dtype: str, count: int) -> dict[str, float]:
    """Peak memory in GiB and seconds of a short run: 4 PGD or 10 training steps on `count` photos."""
    model = load_model(model_name, getattr(torch, dtype), OPTIONS[options])
    photos = read_photos(list_photos(folder))[:count]
    reset_peak_memory(model.device)
    start = time.monotonic()
    if work in ("advdm", "eudp"):
        method = AdvDM(pgd_steps=4) if work == "advdm" else EUDP(rounds=2, surrogate_steps=2, pgd_steps=2)
        method(photos, model)
    else:
        recipe = (
            LoRA(steps=10, scope="attention", batch_size=1) if work == "lora" else DreamBooth(steps=10, batch_size=1)
        )
        recipe.fit(photos, model, "a photo of sks")
    return {"gib": peak_memory(model.device) / 2**30, "seconds": time.monotonic() - start}


def main() -> None:
    """One line a kind of work and set of options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--photos", type=Path, default=Path("examples/subject"))
    parser.add_argument("--count", type=int, default=4, help="photos in the set")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"), help="of the frozen base")
    parser.add_argument("--one", nargs=2, metavar=("WORK", "OPTIONS"), help="measure one line in this process")
    options = parser.parse_args()
    if options.one:
        work, chosen = options.one
        print(json.dumps(measure(options.model, options.photos, work, chosen, options.dtype, options.count)))
        return
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(
        f"{options.model}, {options.dtype} base, {options.count} photos, {device}\n\n| work | options | GiB | s |\n|---|---|---|---|"
    )
    for work in WORK:
        for chosen in OPTIONS:
            command = [sys.executable, "-m", "benchmarks.memory", "--one", work, chosen, "--model", options.model]
            command += ["--photos", str(options.photos), "--count", str(options.count), "--dtype", options.dtype]
            found = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            )
            print(f"| {work} | {chosen} | {found['gib']:.2f} | {found['seconds']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
