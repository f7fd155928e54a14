"""An autoencoder that speaks Stable Diffusion 1.x's latents: a student of the published `taesd`, trained here.

The teacher (Ollin Boer Bohan, MIT) is itself distilled from Stable Diffusion's own autoencoder. Half of its encoder's
arithmetic is spent at full resolution, on one residual block; the student's encoder has none there, and one more at half
the size.

Encoder. It learns the teacher's latents on clean, noisy **and attacked** pictures. A perturbation that moves the student
is worth something only where it moves the teacher too, so the pictures are perturbed by sign-gradient steps against the
student of the moment, the teacher, or both, inside 2 to 16 / 255. Attacked pictures are kept in a pool and moved a step
further at every visit, so that attacks of twenty steps cost one step each. At first every block learns by itself what the
teacher's block makes of the teacher's own features (blockwise distillation; hints, Romero et al. 2015, arXiv 1412.6550),
then the whole encoder makes up for what errors add up to.

Decoder. It has the teacher's blocks and learns what the teacher's makes of latents: a function of the latents alone, which
can be learned without the blur that pictures would teach, because latents do not determine them. For most of the time
every block learns by itself what the teacher's block makes of the teacher's own features: ten short problems
are solved in the time in which one long one has hardly begun (an hour of end-to-end training ended in blurred eyes and print
where fifteen minutes of this show them). The rest of the time the whole decoder learns to make up for what errors add up to: L1 of
values and differences, and of the teacher's features of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny
from diffusers.models.autoencoders.vae import AutoencoderTinyBlock

from recipe.clock import Ema, resume, train_by_clock
from recipe.crops import Crops
from recipe.optimisers import MuonWithAdamW
from udp.models.training import Trainer, TrainingSettings

WIDTH = 64
LATENT_CHANNELS = 4
ENCODER_BLOCKS = (0, 4, 3, 3)  # the teacher's are (1, 3, 3, 3): the block at full size is half of its arithmetic
DECODER_BLOCKS = (3, 3, 3, 1)  # as the teacher's: without the last one, eyes and print are smeared
REPORT_EVERY = 100  # steps between lines of the log
POOL = 48  # batches under attack at a time
ATTACKS_FROM = 0.25  # of the training: before, clean and noisy pictures teach faster
ATTACKED_SHARE = 0.6  # of the steps after that
LEAST_LEVELS, MOST_LEVELS = 2, 16  # of 255: the budgets of the attacks
NOISE_LEVELS = 10  # of 255: the largest noise on pictures that are not attacked
HUBER = 0.3  # latent errors below this many standard deviations count by their square
LATENT_NOISE = 0.3  # standard deviations at most, on half of what the decoder gets
BANK = 2400  # latents that the decoder learns from
LATENT_SIDE = 16  # of each: squares of 128 px are the decoder's work
ENCODER_BLOCKWISE = 0.6  # of its training; end to end after that, so that what fools one fools the other
DECODER_BLOCKWISE = 0.85  # of its training; end to end after that: cleaner, but smoother the longer
FEATURE_WEIGHT = 0.1  # of the teacher's features of the result, beside values of about 0.05


def build() -> AutoencoderTiny:
    """A student with random weights, 3 x H x W <-> 4 x H/8 x W/8, its latents those of a U-Net of Stable Diffusion 1.x."""
    return AutoencoderTiny(
        encoder_block_out_channels=(WIDTH,) * 4,
        decoder_block_out_channels=(WIDTH,) * 4,
        num_encoder_blocks=ENCODER_BLOCKS,
        num_decoder_blocks=DECODER_BLOCKS,
        latent_channels=LATENT_CHANNELS,
        scaling_factor=1.0,
        shift_factor=0.0,
        force_upcast=False,
    ).to(memory_format=torch.channels_last)


def load_teacher(folder: Path | str) -> AutoencoderTiny:
    """The teacher, frozen, float32, from a folder or the Hub."""
    teacher = AutoencoderTiny.from_pretrained(folder, dtype=torch.float32)
    return teacher.float().eval().requires_grad_(False).to(memory_format=torch.channels_last)


def stages(encoder: torch.nn.Module) -> list[torch.nn.Sequential]:
    """The layers of an `EncoderTiny`, cut before every halving of the size but the first, and before the last layer."""
    parts: list[list[torch.nn.Module]] = [[]]
    halvings = 0
    for layer in encoder.layers[:-1]:
        if isinstance(layer, torch.nn.Conv2d) and layer.stride == (2, 2):
            halvings += 1
            if halvings > 1:
                parts.append([])
        parts[-1].append(layer)
    return [torch.nn.Sequential(*part) for part in (*parts, [encoder.layers[-1]])]


def aligned(
    teacher: torch.nn.Module, student: torch.nn.Module
) -> tuple[list[torch.nn.Sequential], list[torch.nn.Sequential]]:
    """The layers of two `EncoderTiny`s in as many parts, the first at least down to half the size, each of the others one block.

    What the student has more or fewer of than the teacher, at full and at half size, is in its first part, which ends where the
    teacher's does. Raises `ValueError` if their blocks differ elsewhere.
    """
    cut = [_cut_from_half_size(encoder) for encoder in (teacher, student)]
    surplus = [len(parts) - min(map(len, cut)) for parts in cut]
    found = []
    for parts, more in zip(cut, surplus, strict=True):
        first = [layer for part in parts[: more + 1] for layer in part]
        found.append([torch.nn.Sequential(*part) for part in (first, *parts[more + 1 :])])
    kinds = [[[type(layer) for layer in part] for part in parts[1:]] for parts in found]
    if kinds[0] != kinds[1]:
        raise ValueError("expected encoders whose blocks are alike from a quarter of the size on, got others")
    return found[0], found[1]


def _cut_from_half_size(encoder: torch.nn.Module) -> list[list[torch.nn.Module]]:
    """Its layers, cut behind every residual block that comes after the first halving."""
    parts: list[list[torch.nn.Module]] = [[]]
    halved = False
    for layer in encoder.layers:
        halved = halved or (isinstance(layer, torch.nn.Conv2d) and layer.stride == (2, 2))
        parts[-1].append(layer)
        if halved and isinstance(layer, AutoencoderTinyBlock):
            parts.append([])
    return parts


def blocks(decoder: torch.nn.Module) -> list[torch.nn.Sequential]:
    """The layers of a `DecoderTiny`, cut behind every residual block but the last, whose result is the picture."""
    parts: list[list[torch.nn.Module]] = [[]]
    for layer in decoder.layers:
        parts[-1].append(layer)
        if isinstance(layer, AutoencoderTinyBlock):
            parts.append([])
    *whole, last, head = parts
    return [torch.nn.Sequential(*part) for part in (*whole, [*last, *head])]


def chain(parts: list[torch.nn.Sequential], value: torch.Tensor) -> list[torch.Tensor]:
    """What every one of `parts` makes of what the one before it made of `value`."""
    found = []
    for part in parts:
        value = part(value)
        found.append(value)
    return found


def half_precision(device: torch.device) -> torch.autocast:
    """bfloat16 where the layers gain by it; weights and what is compared stay float32."""
    return torch.autocast(device.type, torch.bfloat16)


@dataclass
class Attacked:
    """One batch under attack: clean `images`, their `perturbations` within `budgets` (n, 1, 1, 1), the teacher's clean
    `latents`, whom the attack is against, where it pulls to (None: away from the clean latents), and visits left."""

    images: torch.Tensor
    budgets: torch.Tensor
    perturbations: torch.Tensor
    latents: torch.Tensor
    against: str
    target: torch.Tensor | None
    visits: int


class Attacker:
    """A pool of batches under attack; `draw` moves one of them a step further and returns its pictures."""

    def __init__(
        self, student: torch.nn.Module, teacher: torch.nn.Module, spread: torch.Tensor, crops: Crops, batch: int,
        generator: torch.Generator,
    ) -> None:  # fmt: skip
        self.encoders = {"student": student, "teacher": teacher}
        self.spread, self.crops, self.batch, self.generator = spread, crops, batch, generator
        self.pool: list[Attacked] = []

    def draw(self) -> torch.Tensor:
        """Pictures (n, 3, S, S) in [0, 1] after one more step of their attack."""
        if len(self.pool) < POOL:
            self.pool.append(self._start())
            index = len(self.pool) - 1
        else:
            index = int(torch.randint(POOL, (), generator=self.generator))
        attacked = self.pool[index]
        self._step(attacked)
        if attacked.visits <= 0:
            self.pool[index] = self._start()
        return attacked.images + attacked.perturbations

    def _uniform(self, *shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=self.generator)

    def _start(self) -> Attacked:
        images = self.crops.draw(self.batch)
        budgets = (LEAST_LEVELS + (MOST_LEVELS - LEAST_LEVELS) * self._uniform(len(images), 1, 1, 1)) / 255
        start = (self._uniform(*images.shape) * 2 - 1) * budgets
        roll, aim, visits = self._uniform(3).tolist()
        against = "both" if roll < 0.35 else "teacher" if roll < 0.5 else "student"
        with torch.no_grad(), half_precision(images.device):
            latents = self.encoders["teacher"].layers(images).float()
        target = latents.roll(1, 0) if aim < 0.3 else None
        return Attacked(images, budgets, start, latents, against, target, 2 + int(22 * visits))

    def _step(self, attacked: Attacked) -> None:
        images, budgets = attacked.images, attacked.budgets
        leaf = (images + attacked.perturbations).clamp(0, 1).requires_grad_()
        goal = attacked.latents if attacked.target is None else attacked.target
        loss = torch.zeros(())
        with half_precision(images.device):
            for name, encoder in self.encoders.items():
                if attacked.against in (name, "both"):
                    distance = ((encoder.layers(leaf).float() - goal) / self.spread).square().mean()
                    loss = loss + (distance if attacked.target is None else -distance)
        (gradient,) = torch.autograd.grad(loss, leaf)
        step = budgets * (0.15 + 0.25 * self._uniform(1))
        moved = attacked.perturbations + step * gradient.sign()
        attacked.perturbations = (images + moved.clamp(-budgets, budgets)).clamp(0, 1) - images
        attacked.visits -= 1


def noisy(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """`images`, half of the time with Gaussian or random-sign noise of up to `NOISE_LEVELS`."""
    add, signs = torch.rand(2, generator=generator).tolist()
    if add < 0.5:
        return images
    strength = torch.rand(len(images), 1, 1, 1, generator=generator) * NOISE_LEVELS / 255
    noise = torch.randn(images.shape, generator=generator)
    return (images + strength * (noise.sign() if signs < 0.5 else noise)).clamp(0, 1)


class Training:
    """The training of one half of a student, `part`: "encoder" or "decoder", going on from `checkpoint` if it exists.

    Around what differs, the loss. `share` is the part of the time that has gone by.
    """

    def __init__(self, part: str, module: torch.nn.Module, learning_rate: float, checkpoint: Path) -> None:
        self.part, self.module, self.checkpoint, self.share = part, module, checkpoint, 0.0
        settings = TrainingSettings(learning_rate=learning_rate, schedule="cosine", warmup=0.02)
        self.trainer = Trainer(module.parameters(), settings, MuonWithAdamW(module.parameters(), learning_rate))
        self.ema = Ema([module])
        self.spent = resume(checkpoint, self.trainer, self._load)

    def _load(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state[self.part])
        self.ema.averages[0].load_state_dict(state["average"])

    def _state(self) -> dict[str, Any]:
        return {self.part: self.module.state_dict(), "average": self.ema.averages[0].state_dict()}

    def _on_step(self, step: int, share: float) -> None:
        self.ema.update(step)
        self.share = share

    def run(self, loss: Callable[[int], torch.Tensor], minutes: float) -> None:
        """Descend `loss` until `minutes` of wall clock are spent; the module then has the averaged weights."""
        train_by_clock(
            self.trainer, loss, minutes, self.spent, REPORT_EVERY, self.checkpoint, self._state, self._on_step
        )
        self.module.load_state_dict(self.ema.averages[0].state_dict())


def train_encoder(
    teacher: AutoencoderTiny, folders: list[Path], checkpoint: Path, minutes: float, seed: int = 0, batch: int = 8,
    size: int = 96,
) -> AutoencoderTiny:  # fmt: skip
    """A student whose encoder follows `teacher`, after `minutes` of wall clock, going on from `checkpoint` if it exists."""
    torch.manual_seed(seed)  # initial weights only
    student, crops = build(), Crops(folders, size, seed)
    encoder, guide = student.encoder, teacher.encoder
    training = Training("encoder", encoder, 3e-3, checkpoint)
    generator = torch.Generator().manual_seed(seed + training.trainer.step)
    theirs, ours = aligned(guide, encoder)
    with torch.no_grad():
        spreads = [value.std((0, 2, 3), keepdim=True) for value in chain(theirs, crops.draw(64))]
        # A channel that is almost always zero must not be all that a part learns.
        spreads = [torch.maximum(spread, 0.3 * spread.mean()) for spread in spreads]
    attacker = Attacker(encoder, guide, spreads[-1], crops, batch, generator)

    def draw() -> torch.Tensor:
        attack = training.share > ATTACKS_FROM and float(torch.rand((), generator=generator)) < ATTACKED_SHARE
        pixels = attacker.draw() if attack else noisy(crops.draw(batch), generator)
        return pixels.contiguous(memory_format=torch.channels_last)

    def blockwise(pixels: torch.Tensor, wanted: list[torch.Tensor]) -> torch.Tensor:
        errors = []
        for part, value, goal, spread in zip(ours, [pixels, *wanted[:-1]], wanted, spreads, strict=True):
            errors.append(((part(value).float() - goal) / spread).square().mean())
        return sum(errors)

    def end_to_end(pixels: torch.Tensor, wanted: list[torch.Tensor]) -> torch.Tensor:
        got = chain(ours, pixels)
        error = (got[-1].float() - wanted[-1]) / spreads[-1]
        latents = torch.nn.functional.smooth_l1_loss(error, torch.zeros_like(error), beta=HUBER)
        hints = [((a.float() - b) / s).square().mean() for a, b, s in zip(got, wanted, spreads, strict=True)]
        return latents + sum(hints) / len(hints)

    def loss(step: int) -> torch.Tensor:
        pixels = draw()
        with half_precision(pixels.device):
            with torch.no_grad():
                wanted = [value.float() for value in chain(theirs, pixels)]
            return (blockwise if training.share < ENCODER_BLOCKWISE else end_to_end)(pixels, wanted)

    training.run(loss, minutes)
    return student.requires_grad_(False).eval()


def reconstruction_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1 of values and of their horizontal and vertical differences, at full and at half size."""
    residual = output - target
    loss = residual.abs().mean()
    for scale in range(2):
        if scale:
            residual = torch.nn.functional.avg_pool2d(residual, 2)
        down = (residual[..., 1:, :] - residual[..., :-1, :]).abs().mean()
        across = (residual[..., 1:] - residual[..., :-1]).abs().mean()
        loss = loss + 0.5 * (down + across)
    return loss


@torch.no_grad()
def bank_of_latents(
    student: AutoencoderTiny, teacher: AutoencoderTiny, crops: Crops, count: int, batch: int = 16
) -> torch.Tensor:
    """(count, 4, h, w) latents of `crops`, a third of them the student's and the others the teacher's."""
    found = []
    for number in range(-(-count // batch)):
        encoder = student.encoder if number % 3 == 0 else teacher.encoder
        with half_precision(torch.device("cpu")):
            found.append(encoder.layers(crops.draw(batch)).float())
    return torch.cat(found)[:count]


def window(features: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """A square of `side` of (N, C, h, w), somewhere; all of it if it is no larger."""
    slack = features.shape[-1] - side
    if slack <= 0:
        return features
    top, left = torch.randint(slack + 1, (2,), generator=generator).tolist()
    return features[..., top : top + side, left : left + side]


def train_decoder(
    student: AutoencoderTiny, teacher: AutoencoderTiny, folders: list[Path], checkpoint: Path, minutes: float,
    seed: int = 0, batch: int = 16, bank: int = BANK,
) -> None:  # fmt: skip
    """Train the decoder of `student` in place for `minutes`, going on from `checkpoint` if it exists.

    Blockwise steps take `batch` latents, a quarter of the pictures after each doubling of the size, so that every stage
    costs the same; steps end to end take a quarter of `batch` windows of half the side.
    """
    decoder = student.decoder.requires_grad_(True)
    training = Training("decoder", decoder, 3e-3, checkpoint)
    generator = torch.Generator().manual_seed(seed + training.trainer.step)
    crops = Crops(folders, LATENT_SIDE * 8, seed, largest=256)
    latents = bank_of_latents(student, teacher, crops, bank)
    spread = latents.std((0, 2, 3), keepdim=True)
    eye, guide, own = stages(teacher.encoder)[:2], blocks(teacher.decoder), blocks(decoder)
    with torch.no_grad():
        spreads = [value.std((0, 2, 3), keepdim=True) + 1e-3 for value in chain(eye, crops.draw(16))]

    def draw(count: int) -> torch.Tensor:
        drawn = latents[torch.randint(len(latents), (count,), generator=generator)]
        mirror, noisy = (torch.rand(2, generator=generator) < 0.5).tolist()
        drawn = drawn.flip(-1) if mirror else drawn
        strength = LATENT_NOISE * noisy * torch.rand(count, 1, 1, 1, generator=generator)
        drawn = drawn + strength * spread * torch.randn(drawn.shape, generator=generator)
        return torch.tanh(drawn / 3) * 3  # as `DecoderTiny` does before its layers

    def blockwise() -> torch.Tensor:
        value, error = draw(batch), torch.zeros(())
        for theirs, ours in zip(guide, own, strict=True):
            if any(isinstance(layer, torch.nn.Upsample) for layer in theirs):
                value = value[torch.randperm(len(value), generator=generator)[: max(1, len(value) // 4)]]
                value = window(value, 2 * LATENT_SIDE, generator)
            value = value.contiguous(memory_format=torch.channels_last)
            with half_precision(value.device):
                with torch.no_grad():
                    wanted = theirs(value)
                got = ours(value)
            value = wanted.float()
            scale = value.std((0, 2, 3), keepdim=True) + 1e-2
            error = error + ((got.float() - value) / scale).square().mean()
        return error

    def end_to_end() -> torch.Tensor:
        value = window(draw(max(1, batch // 4)), LATENT_SIDE // 2, generator)
        value = value.contiguous(memory_format=torch.channels_last)
        with half_precision(value.device):
            with torch.no_grad():
                target = teacher.decoder.layers(value).float().clamp(0, 1)
                seen = chain(eye, target)
            got = decoder.layers(value)
            look = chain(eye, got)
        alike = sum(((a.float() - b.float()) / s).abs().mean() for a, b, s in zip(look, seen, spreads, strict=True))
        return reconstruction_loss(got.float(), target) + FEATURE_WEIGHT * alike / len(look)

    def loss(step: int) -> torch.Tensor:
        return blockwise() if training.share < DECODER_BLOCKWISE else end_to_end()

    training.run(loss, minutes)
    student.requires_grad_(False).eval()
