"""Move the embedded U-Net to where fine-tunes begin well: so that a few hundred steps on a few photos are enough.

    python -m recipe.distil --data data --teacher TEACHER --work work --out taught       # see there
    python -m recipe.reptile --start taught --data data --teacher TEACHER --work work --minutes 40 --out FOLDER

Reptile (Nichol et al. 2018, arXiv 1803.02999): fine-tune a copy on a handful of pictures as an imitator would, move the weights a part of the
way to where it ended, and again with other pictures. Half of the handfuls are neighbours, many of which are crops of one photo, half are not;
half are told "a photo of sks" or the like, half their own captions. After each move some steps of distillation, so that prompts go on meaning what
they mean to the teacher. Resumes from its checkpoint in `--work`.
"""

from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path

import torch

from recipe.denoiser import save
from recipe.distil import Lesson, add_options, material
from udp.evaluation.at_once import at_once
from udp.imitation.recipes.base import evenly_drawn
from udp.models.base import side_by_side
from udp.models.latent import LatentDiffusionModel
from udp.models.loading import load_model
from udp.models.loss import DenoisingLoss
from udp.models.training import Trainer, TrainingSettings
from udp.progress import OnProgress

INNER = TrainingSettings(learning_rate=4e-3, weight_decay=1e-2, schedule="cosine", warmup=0.05)
INNER_BATCH = 8
FEWEST, MOST = 4, 8  # pictures of a handful
REHEARSAL = TrainingSettings(learning_rate=5e-4)
REHEARSAL_STEPS = 4
REPORT_EVERY = 10
SUBJECTS = "a photo of sks", "a photo of sks", "a picture of sks", "a painting in the style of sks", "sks"


def handful(
    latents: torch.Tensor, captions: list[str], views: int, drawn: int, generator: torch.Generator
) -> tuple[torch.Tensor, list[str]]:
    """Latents (n, C, h, w) float32 to fine-tune on and what each is called.

    `latents` are `views` times the same squares, in which crops of a picture follow one another, and then `drawn` pictures, which
    are left out.
    """
    squares = (len(latents) - drawn) // views
    count = int(torch.randint(FEWEST, MOST + 1, (), generator=generator))
    first = torch.randint(squares - count, (), generator=generator)
    near = bool(torch.rand((), generator=generator) < 0.5)
    chosen = first + torch.arange(count) if near else torch.randint(squares, (count,), generator=generator)
    called = [captions[index] for index in chosen.tolist()]
    if torch.rand((), generator=generator) < 0.5:
        called = [SUBJECTS[int(torch.randint(len(SUBJECTS), (), generator=generator))]] * count
    chosen = chosen + squares * torch.randint(views, (count,), generator=generator)
    return latents[chosen].float(), called


def fine_tune(
    model: LatentDiffusionModel, network: torch.nn.Module, found: tuple[torch.Tensor, list[str]], steps: int, seed: int
) -> float:
    """Train `network` much as `Recipe.fit` does; the mean loss of the last tenth of the steps."""
    latents, called = found
    texts = {text: model.embed(text) for text in called}
    generator, timesteps = torch.Generator().manual_seed(seed), model.schedule.usual_timesteps(0.0)

    def loss(step: int) -> torch.Tensor:
        chosen = evenly_drawn(len(latents), INNER_BATCH, generator)
        text = side_by_side([(texts[called[index]], 1) for index in chosen.tolist()])
        return DenoisingLoss(model, text, timesteps)(network, latents[chosen], generator)

    losses = Trainer(network.parameters(), INNER).run(loss, steps)
    last = losses[-max(1, steps // 10) :]
    return sum(last) / len(last)


@torch.no_grad()
def move(network: torch.nn.Module, ends: list[torch.nn.Module], rate: float) -> None:
    """Move the weights of `network` the share `rate` of the way to the mean of `ends`."""
    for weight, *found in zip(network.parameters(), *(end.parameters() for end in ends), strict=True):
        weight.lerp_(torch.stack(found).mean(0), rate)


def train(options: argparse.Namespace) -> None:
    """Move, and write the pipeline."""
    model, work = load_model(str(options.start)), options.work
    work.mkdir(parents=True, exist_ok=True)
    teacher = load_model(str(options.teacher))
    network = copy.deepcopy(model.network).requires_grad_(True)
    ends = [copy.deepcopy(network) for _ in range(options.at_once)]
    latents, captions = material(teacher, options.data, options.views, options.pictures, work, options.seed)
    rehearsal = Trainer(network.parameters(), REHEARSAL)
    checkpoint, spent, done = work / "reptile.pt", 0.0, 0
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(kept["network"])
        rehearsal.load_state_dict(kept["rehearsal"])
        spent, done = kept["spent"], kept["done"]
    lesson = Lesson(teacher, latents, captions, options.batch, options.seed + done)
    generator, begun, recent = torch.Generator().manual_seed(options.seed + done), time.monotonic() - spent, []

    def keep() -> None:
        state = {"network": network.state_dict(), "rehearsal": rehearsal.state_dict(), "spent": spent, "done": done}
        torch.save(state, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)

    def one(index: int, on_progress: OnProgress) -> float:
        ends[index].load_state_dict(network.state_dict())
        return fine_tune(model, ends[index], handfuls[index], options.steps, done + index)

    limit = 60 * options.minutes
    while (passed := time.monotonic() - begun) < limit:
        handfuls = [handful(latents, captions, options.views, options.pictures, generator) for _ in ends]
        recent += at_once([lambda told, i=i: one(i, told) for i in range(len(ends))], model, lambda p: None)
        move(network, ends, options.rate * (1 - 0.8 * passed / limit))
        rehearsed = rehearsal.run(lambda step: lesson.loss(network), REHEARSAL_STEPS)
        done, spent = done + len(ends), time.monotonic() - begun
        if done % REPORT_EVERY < len(ends):
            print(
                f"{done} fine-tunes, the last ended at {sum(recent) / len(recent):.4f}, distance to the teacher "
                f"{sum(rehearsed) / len(rehearsed):.4f}, {spent / 60:.1f} min",
                flush=True,
            )
            recent = []
            keep()
    keep()
    save(model.replaced(unet=network.requires_grad_(False).eval()).pipeline, options.out)


def main() -> None:
    """Parse, move, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, minutes=40)
    parser.add_argument("--start", type=Path, required=True, help="the pipeline to begin from")
    parser.add_argument("--steps", type=int, default=80, help="of a fine-tune")
    parser.add_argument("--rate", type=float, default=0.4, help="share of the way to where fine-tunes end, at first")
    parser.add_argument("--at-once", type=int, default=2, help="fine-tunes between two moves")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
