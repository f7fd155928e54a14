"""Peak memory and time of protection and fine-tuning, for a model and each set of memory options.

    python -m benchmarks.memory --model sd15 --photos examples/subject
    python -m benchmarks.memory --model random-sd15 --options both     # its shape with random weights: no download

On a GPU the figure is what torch allocated at the peak, the model included. A CPU process cannot reset its peak, so there
every line is measured in a process of its own, and the figure is its resident size, Python and libraries included.
Neither memory nor time depends on the values of the weights.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from recipe.text import build_tokenizer
from udp.imitation.recipes import DreamBooth, LoRA
from udp.models.base import DiffusionModel
from udp.models.latent import StableDiffusion
from udp.models.loading import for_processor, load_model
from udp.models.memory import MemoryOptions, apply, peak_memory, reset_peak_memory
from udp.photos import list_photos, read_photos
from udp.protection.methods import EUDP, AdvDM

OPTIONS = {
    "none": MemoryOptions(),
    "checkpointing": MemoryOptions(checkpointing=True, tiling=True),
    "autocast": MemoryOptions(autocast=True),
    "both": MemoryOptions(autocast=True, checkpointing=True, tiling=True),
}
ROUNDS = {"rounds": 2, "surrogate_steps": 2, "pgd_steps": 2}
PROTECT = {
    "advdm": AdvDM(pgd_steps=4),
    "eudp": EUDP(**ROUNDS),
    "eudp-adapters": EUDP(**ROUNDS, surrogate="adapters"),
}
WORK = (*PROTECT, "lora", "dreambooth")
RANDOM = "random-sd15"


def sd15_networks() -> tuple[UNet2DConditionModel, AutoencoderKL]:
    """U-Net and autoencoder of Stable Diffusion 1.5's architecture, with random weights on the device of the context."""
    autoencoder = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        sample_size=512,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )
    return UNet2DConditionModel(sample_size=64, cross_attention_dim=768), autoencoder


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """New tensors have this dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def random_sd15(dtype: torch.dtype, options: MemoryOptions) -> DiffusionModel:
    """A model of Stable Diffusion 1.5's architecture (512 px, 860 million U-Net weights) with random weights."""
    tokenizer = build_tokenizer(["a photo of sks"])
    tokenizer.model_max_length = 77
    # Made in `dtype`: a float32 network that is turned to bfloat16 would be the peak of what is measured.
    with default_dtype(dtype), torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        unet, autoencoder = sd15_networks()
        pipeline = StableDiffusionPipeline(
            unet=unet,
            vae=autoencoder,
            text_encoder=CLIPTextModel(
                CLIPTextConfig(
                    vocab_size=49408,
                    hidden_size=768,
                    intermediate_size=3072,
                    num_hidden_layers=12,
                    num_attention_heads=12,
                    projection_dim=768,
                )
            ),
            tokenizer=tokenizer,
            scheduler=DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    model = StableDiffusion(RANDOM, pipeline.to(dtype))
    apply(model, options)
    for_processor(model)
    return model


def measure(model_name: str, folder: Path, work: str, options: str, dtype: str, count: int) -> dict[str, float]:
    """Peak memory in GiB and seconds of a short run: 4 PGD or 10 training steps on `count` photos."""
    load_model.cache_clear()  # on a GPU the last line's model would count
    gc.collect()
    if model_name == RANDOM:
        model = random_sd15(getattr(torch, dtype), OPTIONS[options])
    else:
        model = load_model(model_name, getattr(torch, dtype), OPTIONS[options])
    photos = read_photos(list_photos(folder))[:count]
    reset_peak_memory(model.device)
    start = time.monotonic()
    if work in PROTECT:
        PROTECT[work](photos, model)
    else:
        recipe = (
            LoRA(steps=10, scope="attention", batch_size=1) if work == "lora" else DreamBooth(steps=10, batch_size=1)
        )
        recipe.fit(photos, model, "a photo of sks")
    return {"gib": peak_memory(model.device) / 2**30, "seconds": time.monotonic() - start}


def in_own_process(options: argparse.Namespace, work: str, chosen: str) -> dict[str, float]:
    """`measure` in a new Python process."""
    command = [sys.executable, "-m", "benchmarks.memory", "--one", work, chosen, "--model", options.model]
    command += ["--photos", str(options.photos), "--count", str(options.count), "--dtype", options.dtype]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main() -> None:
    """One line a kind of work and set of options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--photos", type=Path, default=Path("examples/subject"))
    parser.add_argument("--count", type=int, default=4, help="photos in the set")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"), help="of the frozen base")
    parser.add_argument("--work", nargs="+", default=WORK, choices=WORK)
    parser.add_argument("--options", nargs="+", default=tuple(OPTIONS), choices=tuple(OPTIONS))
    parser.add_argument("--one", nargs=2, metavar=("WORK", "OPTIONS"), help="measure one line in this process")
    options = parser.parse_args()
    if options.one:
        work, chosen = options.one
        print(json.dumps(measure(options.model, options.photos, work, chosen, options.dtype, options.count)))
        return
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(
        f"{options.model}, {options.dtype} base, {options.count} photos, {device}\n\n"
        "| work | options | GiB | s |\n|---|---|---|---|"
    )
    for work in options.work:
        for chosen in options.options:
            if torch.cuda.is_available():
                found = measure(options.model, options.photos, work, chosen, options.dtype, options.count)
            else:
                found = in_own_process(options, work, chosen)
            print(f"| {work} | {chosen} | {found['gib']:.2f} | {found['seconds']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
