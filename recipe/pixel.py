"""The embedded model's twin without autoencoder and text: a small DDPM on pixels, the paper's first setting.

    python -m recipe.train pixel --data data renders --work work --minutes 15

trains on the squares of `recipe.denoiser` at 32 px (the size of CIFAR-10), resumes from `work/pixel.pt` when called again, and writes
the averaged weights to `udp/mini/pixel_weights`. `--minutes 0` only writes what the checkpoint holds.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from recipe.clock import Ema, resume, train_by_clock
from recipe.denoiser import computes_in_bfloat16
from recipe.pictures import squares
from udp.models.training import Trainer, TrainingSettings

SIDE = 32
WEIGHTS = Path(__file__).parents[1] / "udp" / "mini" / "pixel_weights"
SETTINGS = TrainingSettings(learning_rate=6e-4, betas=(0.9, 0.99), weight_decay=1e-2, schedule="cosine", warmup=0.03)
REPORT_EVERY = 100  # steps between lines of the log


def build_unet() -> UNet2DModel:
    """An untrained U-Net on (N, 3, 32, 32), 4.4 million weights: attention at 16 x 16, every width a multiple of 64."""
    return UNet2DModel(
        sample_size=SIDE,
        block_out_channels=(64, 128, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=64,
    ).to(memory_format=torch.channels_last)


def build_scheduler() -> DDPMScheduler:
    """Cosine noise (Nichol & Dhariwal 2021, arXiv 2102.09672), whose last step is pure noise, and velocity prediction.

    Epsilon-prediction fails in colour at this size; trailing steps start sampling at the last timestep (Lin et al. 2024).
    """
    return DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", timestep_spacing="trailing")


def shrink(images: np.ndarray) -> torch.Tensor:
    """uint8 (N, 128, 128, 3) to uint8 (N, 3, 32, 32), each pixel the mean of sixteen."""
    parts = []
    for start in range(0, len(images), 256):
        batch = torch.from_numpy(np.ascontiguousarray(images[start : start + 256])).permute(0, 3, 1, 2).float()
        parts.append(torch.nn.functional.avg_pool2d(batch, batch.shape[-1] // SIDE).round().byte())
    return torch.cat(parts)


def train(
    folders: list[Path], checkpoint: Path, minutes: float, seed: int = 0, batch: int = 16, device: str = "cpu"
) -> DDPMPipeline:
    """Train for `minutes` of wall clock, resuming from `checkpoint`, and return the pipeline with averaged weights."""
    torch.manual_seed(seed)  # initial weights only
    unet, scheduler = build_unet().to(device), build_scheduler()
    ema, trainer = Ema([unet]), Trainer(unet.parameters(), SETTINGS)

    def load(state: dict[str, Any]) -> None:
        unet.load_state_dict(state["unet"])
        ema.averages[0].load_state_dict(state["average"])

    spent = resume(checkpoint, trainer, load, device)
    if spent >= minutes * 60:
        return assemble(ema.averages[0], scheduler)
    images = shrink(squares(folders, seed)[0]).to(device)
    generator = torch.Generator(device).manual_seed(seed + trainer.step)
    bfloat16 = computes_in_bfloat16(torch.device(device))
    print(f"{len(images)} squares, {sum(p.numel() for p in unet.parameters()) / 1e6:.1f} M weights", flush=True)

    def loss(step: int) -> torch.Tensor:
        clean = images[torch.randint(len(images), (batch,), generator=generator, device=device)].float() / 127.5 - 1
        mirrored = torch.rand(batch, 1, 1, 1, generator=generator, device=device) < 0.5
        clean = torch.where(mirrored, clean.flip(-1), clean)
        # Stratified: each batch covers all noise levels evenly.
        timesteps = (torch.arange(batch, device=device) + torch.rand(batch, generator=generator, device=device)) / batch
        timesteps = (timesteps * len(scheduler.betas)).long()
        noise = torch.randn(clean.shape, generator=generator, device=device)
        noisy = scheduler.add_noise(clean, noise, timesteps).contiguous(memory_format=torch.channels_last)
        with torch.autocast(str(device), torch.bfloat16, enabled=bfloat16):
            velocity = unet(noisy, timesteps).sample.float()
        return (velocity - scheduler.get_velocity(clean, noise, timesteps)).square().mean()

    def weights() -> dict[str, Any]:
        return {"unet": unet.state_dict(), "average": ema.averages[0].state_dict()}

    train_by_clock(
        trainer, loss, minutes, spent, REPORT_EVERY, checkpoint, weights, lambda step, share: ema.update(step)
    )
    return assemble(ema.averages[0], scheduler)


def assemble(unet: UNet2DModel, scheduler: DDPMScheduler) -> DDPMPipeline:
    """The parts as one `DDPMPipeline`, in evaluation mode."""
    return DDPMPipeline(unet=unet.eval(), scheduler=scheduler)


def save(pipeline: DDPMPipeline, folder: Path = WEIGHTS) -> None:
    """Float16 safetensors, in shards below 10 MB (a larger file is refused by some Space pushes)."""
    half = copy.deepcopy(pipeline.unet).half().to(memory_format=torch.contiguous_format)
    DDPMPipeline(unet=half, scheduler=pipeline.scheduler).save_pretrained(folder, max_shard_size="9MB")
