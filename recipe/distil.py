"""Teach a smaller U-Net what that of `recipe.train` knows: the same words, latents and schedule, a quarter of the weights.

    python -m recipe.data --packages . --out data        # see recipe.train, which makes the teacher
    python -m recipe.distil --data data --teacher TEACHER --work work --minutes 60 --out FOLDER

Each step the teacher and the student look at the same noisy latents under the same words, and the student descends the squared
difference of what they predict (Hinton et al. 2015, arXiv 1503.02531, for a denoiser): unlike the noise itself the teacher's
prediction has no chance in it. Latents are those of crops of the pictures in `--data`, and of pictures that the teacher draws
by `captions`, because the renders it learned from are not needed then. Resumes from its checkpoint in `--work`. Writes a whole
pipeline with the student in the place of the teacher.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel

from recipe.clock import Ema, resume, train_by_clock
from recipe.denoiser import CAPTION_DROPOUT, REPORT_EVERY, computes_in_bfloat16, encode_all, save
from recipe.optimisers import MuonWithAdamW
from recipe.pictures import squares
from udp.models.latent import LatentDiffusionModel
from udp.models.loading import load_model
from udp.models.precision import lay_out_small
from udp.models.seeded import seeded
from udp.models.training import Trainer, TrainingSettings

SETTINGS = TrainingSettings(learning_rate=4e-3, schedule="cosine", warmup=0.02)
DRAWN_STEPS, DRAWN_AT_ONCE = 20, 50
GUIDANCES = 1.0, 3.0  # half of the drawn pictures each: as the teacher sees the world, and as it is asked for pictures
MEDIA = "a photo", "a photo", "a photo", "a drawing", "a watercolor painting", "a cartoon"
COLOURS = "red", "blue", "green", "yellow", "orange", "purple", "pink", "brown", "white", "black", "grey", "wooden", ""
GROUNDS = (
    "",
    "grass",
    "sand",
    "snow",
    "wooden floor",
    "stone",
    "gravel",
    "a table",
    "checkered tiles",
    "dirt",
    "a blanket",
)
LIGHTS = "", "", "", "at night", "at sunset", "in bright light"
WORDS = (
    "cat dog duck bird horse cow pig sheep rabbit bear lion tiger fox mouse frog turtle fish snake owl penguin elephant "
    "giraffe zebra car truck bus train boat bicycle airplane rocket tractor scooter chair armchair sofa table bed desk "
    "lamp bookcase wardrobe sink bathtub toilet stool bench fridge clock phone laptop keyboard camera radio television "
    "robot toy doll teddy ball cube cone cylinder pyramid ring egg castle house tower windmill bridge tree flower cactus "
    "mushroom apple banana orange lemon cherries bread cake cookie pizza hamburger bottle cup bowl vase jar pot kettle "
    "teapot plate spoon fork knife hammer saw axe wrench screwdriver umbrella hat shoe sneaker boot backpack handbag "
    "suitcase glasses watch guitar piano violin trumpet drum book pencil candle lantern key bell anchor balloon snowman "
)
THINGS = WORDS.split()


def captions(count: int, seed: int) -> list[str]:
    """What the teacher is asked to draw, in the words of the renders' captions."""
    random = np.random.default_rng(seed)

    def pick(words: tuple[str, ...] | list[str]) -> str:
        return words[random.integers(len(words))]

    found = []
    for _ in range(count):
        thing = f"{pick(COLOURS)} {pick(THINGS)}".strip()
        parts = [f"{pick(MEDIA)} of {'an' if thing[0] in 'aeiou' else 'a'} {thing}"]
        ground, light = pick(GROUNDS), pick(LIGHTS)
        found.append(" ".join([*parts, *([f"on {ground}"] if ground else [])]) + (f", {light}" if light else ""))
    return found


def drawn(model: LatentDiffusionModel, texts: list[str], seed: int) -> torch.Tensor:
    """float16 latents (N, C, h, w) of what the teacher draws by `texts`, half of them at each of `GUIDANCES`."""
    pipeline, found, begun = model.pipeline, [], time.monotonic()
    pipeline.set_progress_bar_config(disable=True)
    for start in range(0, len(texts), DRAWN_AT_ONCE):
        asked = texts[start : start + DRAWN_AT_ONCE]
        with (
            torch.no_grad(),
            torch.autocast(model.device.type, torch.bfloat16, enabled=computes_in_bfloat16(model.device)),
        ):
            latents = pipeline(
                asked, num_inference_steps=DRAWN_STEPS, guidance_scale=GUIDANCES[start // DRAWN_AT_ONCE % 2],
                generator=torch.Generator().manual_seed(seed + start), output_type="latent",
            ).images  # fmt: skip
        found.append(latents.half())
        if start // DRAWN_AT_ONCE % 10 == 0:
            print(f"{start} of {len(texts)} drawn, {time.monotonic() - begun:.0f} s", flush=True)
    return torch.cat(found)


def material(model: LatentDiffusionModel, folders: list[Path], views: int, pictures: int, work: Path, seed: int):
    """Latents float16 (N, C, h, w) and N captions: views of the squares of `folders`, and drawn pictures; kept in `work`."""
    kept, asked_for = work / "material.pt", [model.fingerprint, *map(str, folders), views, pictures, seed]
    if kept.exists() and (content := torch.load(kept, weights_only=True)).get("of") == asked_for:
        return content["latents"], content["captions"]
    images, texts = squares(folders, seed)
    generator = torch.Generator().manual_seed(seed)
    latents = [encode_all(model.vae, images, generator) for _ in range(views)]
    asked = captions(pictures, seed)
    content = {
        "of": asked_for,
        "latents": torch.cat([*latents, drawn(model, asked, seed)]),
        "captions": texts * views + asked,
    }
    torch.save(content, kept)
    return content["latents"], content["captions"]


def build(teacher: UNet2DConditionModel, widths: tuple[int, ...], seed: int) -> UNet2DConditionModel:
    """The teacher's network with other widths and random weights."""
    config = {name: value for name, value in teacher.config.items() if not name.startswith("_")}
    with seeded(seed):
        student = UNet2DConditionModel.from_config({**config, "block_out_channels": widths})
    lay_out_small(student)
    return student


class Lesson:
    """What the teacher `model` predicts of noisy `latents` float16 (N, C, h, w) under their N `captions`."""

    def __init__(
        self, model: LatentDiffusionModel, latents: torch.Tensor, captions: list[str], batch: int, seed: int
    ) -> None:
        self.model, self.latents, self.batch = model, latents, batch
        known = list(dict.fromkeys([*captions, ""]))
        with torch.no_grad():
            self.words = torch.cat([embedded(model, text) for text in known])
        place = {text: index for index, text in enumerate(known)}
        self.called, self.nothing = torch.tensor([place[text] for text in captions]), place[""]
        self.scheduler = DDPMScheduler.from_config(model.pipeline.scheduler.config)
        self.generator = torch.Generator().manual_seed(seed)

    def loss(self, student: torch.nn.Module) -> torch.Tensor:
        """How far `student` is from the teacher on the next batch: mean squared difference of their predictions."""
        generator, batch = self.generator, self.batch
        chosen = torch.randint(len(self.latents), (batch,), generator=generator)
        clean, named = self.latents[chosen].float(), self.called[chosen].clone()
        named[torch.rand(batch, generator=generator) < CAPTION_DROPOUT] = self.nothing
        places = (torch.arange(batch) + torch.rand(batch, generator=generator)) / batch
        timesteps = (places * len(self.scheduler.betas)).long()
        noisy = self.scheduler.add_noise(clean, torch.randn(clean.shape, generator=generator), timesteps)
        with torch.autocast("cpu", torch.bfloat16, enabled=computes_in_bfloat16(self.model.device)):
            with torch.no_grad():
                wanted = self.model.network(noisy, timesteps, encoder_hidden_states=self.words[named]).sample
            given = student(noisy, timesteps, encoder_hidden_states=self.words[named]).sample
        return (given.float() - wanted.float()).square().mean()


def train(options: argparse.Namespace) -> None:
    """Teach, and write the pipeline."""
    model = load_model(str(options.teacher))
    if model.device.type != "cpu":
        raise SystemExit(
            "expected a machine without a GPU, or CUDA_VISIBLE_DEVICES= in front: this was written for two cores"
        )
    work, seed, batch = options.work, options.seed, options.batch
    work.mkdir(parents=True, exist_ok=True)
    student = build(model.network, tuple(options.widths), seed)
    ema = Ema([student])
    trainer = Trainer(student.parameters(), SETTINGS, MuonWithAdamW(student.parameters(), SETTINGS.learning_rate))
    modules, checkpoint = [student, *ema.averages], work / "distil.pt"

    def load(state: dict[str, Any]) -> None:
        for module, weights in zip(modules, state["modules"], strict=True):
            module.load_state_dict(weights)

    spent = resume(checkpoint, trainer, load)
    latents, texts = material(model, options.data, options.views, options.pictures, work, seed)
    lesson = Lesson(model, latents, texts, batch, seed + trainer.step)
    print(f"{len(latents)} latents, {sum(p.numel() for p in student.parameters()) / 1e6:.1f} M weights", flush=True)

    def weights() -> dict[str, Any]:
        return {"modules": [module.state_dict() for module in modules]}

    train_by_clock(
        trainer,
        lambda step: lesson.loss(student),
        options.minutes,
        spent,
        REPORT_EVERY,
        checkpoint,
        weights,
        lambda step, share: ema.update(step),
    )
    pipeline = model.replaced(unet=ema.averages[0].eval()).pipeline
    save(pipeline, options.out)


def embedded(model: LatentDiffusionModel, text: str) -> torch.Tensor:
    """(1, T, W) that the U-Net reads."""
    encoder, tokenizer = model.pipeline.text_encoder, model.pipeline.tokenizer
    tokens = tokenizer(
        text, padding="max_length", max_length=encoder.config.max_position_embeddings, truncation=True, return_tensors="pt"
    )  # fmt: skip
    return encoder(tokens.input_ids)[0]


def add_options(parser: argparse.ArgumentParser, minutes: float) -> None:
    """What this command and `recipe.reptile` have in common."""
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of recipe.data and recipe.renders")
    parser.add_argument("--teacher", type=Path, required=True, help="the pipeline that recipe.train wrote")
    parser.add_argument("--views", type=int, default=2, help="random views of each square")
    parser.add_argument("--pictures", type=int, default=4000, help="that the teacher draws")
    parser.add_argument("--batch", type=int, default=16, help="of a step of distillation")
    parser.add_argument("--minutes", type=float, default=minutes)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("work"), help="checkpoint and latents")
    parser.add_argument("--out", type=Path, required=True, help="the pipeline")


def main() -> None:
    """Parse, teach, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, minutes=60)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 64, 128], help="channels of each level")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
