"""A PGD step of ours beside the public code of Anti-DreamBooth and Diff-Protect, on the same network, photo and prompt.

    python -m benchmarks.peers --anti-dreambooth REPOSITORY --diff-protect REPOSITORY --out docs/peers.json

Each is a folder with a clone of github.com/VinAIResearch/Anti-DreamBooth or github.com/xavihart/Diff-Protect; nothing of
them is in this repository. What runs of them is the loop itself: `pgd_attack` of `attacks/aspl.py`; `Linf_PGD` of
`code/attacks.py`, with the loss of `target_model` in `code/diff_mist.py` for AdvDM. Around it stand the arguments that it takes,
and names of packages that it imports and does not use in that loop. Two things differ from a run of theirs on a GPU: "cuda"
means the processor here, and Diff-Protect's loop calls diffusers' networks instead of those of its own copy of the latent
diffusion package (whose checkpointing would cost it time and save it memory). The network is Stable Diffusion 1.5's with
random weights, at 512 px: time and memory do not depend on their values. Every measurement is a process of its own, in turn,
as in `benchmarks.speed`; Anti-DreamBooth's is in bfloat16, as it is written, Diff-Protect's in float32, ours as `OURS` says. The public
code gets the only network there is.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import importlib.util
import json
import os
import statistics
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch

from benchmarks.memory import OPTIONS, RANDOM
from benchmarks.speed import add_options, in_own_process, in_turn, load
from benchmarks.steps import PROMPT, Clock, Enough
from udp.models.latent import LatentDiffusionModel
from udp.models.memory import default_options, peak_memory
from udp.photos import Photo, list_photos, read_photos
from udp.progress import Progress, Stage
from udp.protection.base import ProtectionMethod
from udp.protection.methods import ASPL, SDS, AdvDM
from udp.tensors import to_tensor

# What their files import at the top and none of the loops touches.
UNUSED = (
    "accelerate.logging", "advertorch", "advertorch.attacks", "datasets", "einops", "glob2", "hydra", "ldm", "ldm.models",
    "ldm.models.diffusion", "ldm.models.diffusion.ddim", "ldm.util", "omegaconf", "pytorch_lightning", "torchvision",
    "torchvision.transforms", "utils", "wandb",
)  # fmt: skip


class OnProcessor:
    """torch, but for `device`: whatever is named, it is the processor."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def device(name: object) -> torch.device:
        """The processor."""
        return torch.device("cpu")


def public(repository: Path, file: str) -> types.ModuleType:
    """A file of a clone as a module. Raises `SystemExit` if it is not there."""
    path = repository / file
    if not path.is_file():
        raise SystemExit(f"expected {file} in a clone of a public repository, got none in {str(repository)!r}")
    for name in UNUSED:
        sys.modules.setdefault(name, MagicMock(name=name))
    spec = importlib.util.spec_from_file_location(f"public_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    with on_path(path.parent):
        spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def on_path(folder: Path) -> Iterator[None]:
    """Modules of `folder` can be imported."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def pixels(model: LatentDiffusionModel, photos: Sequence[Photo]) -> torch.Tensor:
    """Squares as the model sees them, (N, 3, S, S) in [-1, 1] as their code has them."""
    return model.prepare([to_tensor(photo.pixels)[None] for photo in photos]).contiguous() * 2 - 1


def own_network(model: LatentDiffusionModel) -> torch.nn.Module:
    """The model's only network, every weight of which collects gradients, as the public code has it."""
    return model.network.to(memory_format=torch.contiguous_format).requires_grad_(True)


class Stamped(torch.nn.Module):
    """An autoencoder that stamps the clock when it is asked for the latents of a step: the one before has ended."""

    def __init__(self, inner: torch.nn.Module, clock: Clock) -> None:
        super().__init__()
        self.inner, self.clock, self.begun = inner, clock, False
        self.config = inner.config

    def encode(self, squares: torch.Tensor) -> Any:
        """See the autoencoder."""
        if self.begun:
            self.clock.stamp()
        self.begun = True
        return self.inner.encode(squares)


def anti_dreambooth(
    repository: Path, model: LatentDiffusionModel, photos: list[Photo], clock: Clock, mode: str
) -> None:
    """`pgd_attack`, all photos in a batch."""
    code = public(repository, "attacks/aspl.py")
    code.torch = OnProcessor()
    pipeline, squares = model.pipeline, pixels(model, photos)
    given = argparse.Namespace(instance_prompt=PROMPT, pgd_alpha=2 / 255, pgd_eps=16 / 255)
    models = [own_network(model), pipeline.text_encoder.requires_grad_(True)]
    code.pgd_attack(
        given, models, pipeline.tokenizer, pipeline.scheduler, Stamped(pipeline.vae, clock), squares, squares, None,
        clock.steps + 2,
    )  # fmt: skip


class LatentDiffusion:
    """What Diff-Protect's loops ask of a model, answered by diffusers' networks."""

    def __init__(self, model: LatentDiffusionModel, clock: Clock) -> None:
        self.model, self.network, self.clock, self.begun = model, own_network(model), clock, False
        self.num_timesteps, self.device = len(model.schedule), torch.device("cpu")

    def encode_first_stage(self, squares: torch.Tensor) -> Any:
        """The autoencoder's posterior."""
        return self.model.vae.encode(squares).latent_dist

    def get_first_stage_encoding(self, posterior: Any) -> torch.Tensor:
        """A draw from it."""
        return posterior.sample() * self.model.vae.config.scaling_factor

    def get_learned_conditioning(self, prompt: Any) -> torch.Tensor:
        """The text encoded, as in every step of theirs."""
        return self.model.encode_prompt(PROMPT)

    def q_sample(self, x_start: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Latents noised."""
        return self.model.schedule.add_noise(x_start, noise, t)

    def apply_model(self, noisy: torch.Tensor, t: torch.Tensor, cond: torch.Tensor) -> torch.Tensor:
        """The noise predicted."""
        return self.network(noisy, t, encoder_hidden_states=cond).sample

    def __call__(self, z: torch.Tensor, cond: torch.Tensor) -> tuple[torch.Tensor, None]:
        """The denoising loss of one draw."""
        t, noise = torch.randint(0, self.num_timesteps, (len(z),)), torch.randn_like(z)
        return torch.nn.functional.mse_loss(self.apply_model(self.q_sample(z, t, noise), t, cond), noise), None


def diff_protect(repository: Path, model: LatentDiffusionModel, photos: list[Photo], clock: Clock, mode: str) -> None:
    """`Linf_PGD`, one photo, by the gradients of AdvDM or of SDS."""
    attacks, mist = public(repository, "code/attacks.py"), public(repository, "code/diff_mist.py")
    diffusion, square = LatentDiffusion(model, clock), pixels(model, photos[:1])
    torch.Tensor.cuda = lambda self, *_: self
    net = mist.target_model(diffusion, PROMPT, target_info=torch.zeros_like(square), mode="advdm", g_mode="+")
    attack = attacks.Linf_PGD(
        net, mist.identity_loss(), 16 / 255, steps=clock.steps + 2, eps_iter=2 / 255, clip_min=-1.0,
        attack_type="PGD" if mode == "advdm" else "PGD_SDS",
    )  # fmt: skip
    attack.mp = lambda path: None  # it makes a folder for pictures that it does not write
    if mode == "advdm":
        step = net.forward

        def stamped(squares: torch.Tensor) -> torch.Tensor:
            if diffusion.begun:
                clock.stamp()
            diffusion.begun = True
            return step(squares)

        net.forward = stamped
        attack.pgd(square, None)
    else:
        model.pipeline.vae = Stamped(model.vae, clock)
        diffusion.model.vae = model.pipeline.vae
        attack.pgd_sds(square, net, PROMPT, diff_pgd=(False, 0, ""))


def ours(method: ProtectionMethod, model: LatentDiffusionModel, photos: list[Photo], clock: Clock) -> None:
    """A method of ours."""

    def on_progress(progress: Progress) -> None:
        if progress.stage is Stage.PERTURBING:
            clock.stamp()

    method(photos, model, PROMPT, on_progress=on_progress)


# By kind of step: ours, and whose it is beside, with its mode.
WORK: dict[str, tuple[Callable[[int], ProtectionMethod], Callable[..., None], str]] = {
    "ASPL": (lambda steps: ASPL(rounds=1, surrogate_steps=0, pgd_steps=steps), anti_dreambooth, ""),
    "AdvDM": (lambda steps: AdvDM(pgd_steps=steps), diff_protect, "advdm"),
    "SDS": (lambda steps: SDS(pgd_steps=steps), diff_protect, "sds"),
}
# Ours in float32, in bfloat16 with the frozen weights too, and what is the default on a GPU: bfloat16 but for the weights,
# activations computed again.
OURS = {
    "ours": (torch.float32, OPTIONS["none"]),
    "ours, bfloat16": (torch.bfloat16, OPTIONS["autocast"]),
    "ours, as on a GPU": (torch.float32, default_options("cuda")),
}
PUBLIC = "public"
VARIANTS = (*OURS, PUBLIC)
GIVEN = ("model", "photos", "steps", "threads", "anti_dreambooth", "diff_protect")  # to the process of one measurement


def measure(options: argparse.Namespace, work: str, variant: str) -> dict[str, float]:
    """Seconds of a step and the process's peak memory in GiB."""
    torch.set_num_threads(options.threads)
    dtype, memory = OURS.get(variant, OURS["ours"])
    model, clock = load(options.model, dtype, memory), Clock(options.steps)
    photos = read_photos(list_photos(options.photos))[:1]
    method, public_code, mode = WORK[work]
    repository = options.anti_dreambooth if public_code is anti_dreambooth else options.diff_protect
    with contextlib.suppress(Enough):
        if variant == PUBLIC:
            model.vae.to(memory_format=torch.contiguous_format)
            public_code(repository, model, photos, clock, mode)
        else:
            ours(method(clock.steps + 1), model, photos, clock)
    return {"seconds": clock.seconds(), "gib": peak_memory(model.device) / 2**30}


def rows(options: argparse.Namespace) -> list[dict]:
    """Every kind of step, its variants in turn, backwards in every second round."""
    made = []
    for work in options.work:
        run = functools.partial(in_own_process, "benchmarks.peers", options, GIVEN, work)
        found = in_turn(VARIANTS, options.rounds, run)
        made.append({
            "work": work,
            "seconds": {name: round(statistics.median(each["seconds"] for each in found[name]), 3) for name in VARIANTS},
            "gib": {name: round(max(each["gib"] for each in found[name]), 2) for name in VARIANTS},
        })  # fmt: skip
        print(table(made[-1:]).splitlines()[-1], flush=True)
    return made


def table(made: list[dict]) -> str:
    """Markdown."""
    lines = [
        f"| a PGD step | {' | '.join((*OURS, 'public code'))} | times as fast as it | memory, in this order |",
        "|---" * (len(VARIANTS) + 3) + "|",
    ]
    for row in made:
        taken = row["seconds"]
        shown = " | ".join(f"{taken[name]:.1f} s" for name in VARIANTS)
        faster = ", ".join(f"{taken[PUBLIC] / taken[name]:.1f}" for name in OURS)
        used = " / ".join(f"{row['gib'][name]:.1f}" for name in VARIANTS)
        lines.append(f"| {row['work']} | {shown} | {faster} | {used} GiB |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anti-dreambooth", type=Path, required=True, help="a clone")
    parser.add_argument("--diff-protect", type=Path, required=True, help="a clone")
    parser.add_argument("--model", default=RANDOM)
    add_options(parser, WORK, steps=3, rounds=2)
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(measure(options, *options.one)))
        return
    facts = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{options.threads} of {os.cpu_count()} CPU cores, torch {torch.__version__}",
        "settings": {name: getattr(options, name) for name in ("model", "steps", "rounds")},
        "rows": rows(options),
    }
    if options.out:
        options.out.write_text(json.dumps(facts, indent=2) + "\n")
    print(f"\n{table(facts['rows'])}\n\n{facts['machine']}")


if __name__ == "__main__":
    main()
