"""The benchmark beside public code, with stand-ins for that code: loops with the same names and arguments, and nothing more."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

from benchmarks import peers
from tests.families import build

LOOP = """
import torch
import wandb

def pgd_attack(args, models, tokenizer, noise_scheduler, vae, data_tensor, original_images, target_tensor, num_steps):
    device = torch.device("cuda")
    assert vae.inner.encoder.conv_in.weight.is_contiguous() and models[0].conv_in.weight.is_contiguous()
    for _ in range(num_steps):
        leaf = data_tensor.clone().requires_grad_()
        latents = vae.encode(leaf.to(device)).latent_dist.sample() * vae.config.scaling_factor
        text = models[1](tokenizer(args.instance_prompt, return_tensors="pt").input_ids)[0]
        models[0](latents, torch.zeros(len(latents)).long(), text).sample.square().mean().backward()
        assert leaf.grad.any()
"""
ATTACKS = """
import wandb

class Linf_PGD:
    def __init__(self, net, fn, epsilon, steps, eps_iter, clip_min, attack_type):
        self.net, self.fn, self.steps, self.type = net, fn, steps, attack_type
        assert net.model.network is net.model.model.network, "one network is held"

    def pgd(self, X, y):
        assert self.type == "PGD"
        for _ in range(self.steps):
            leaf = X.clone().requires_grad_()
            self.fn(self.net(leaf), y).backward()
            assert leaf.grad.any()

    def pgd_sds(self, X, net, c, diff_pgd):
        assert self.type == "PGD_SDS"
        for _ in range(self.steps):
            leaf = X.clone().requires_grad_()
            net.model.get_first_stage_encoding(net.model.encode_first_stage(leaf)).sum().backward()
"""
LOSS = """
import torch
from utils import anything

class identity_loss(torch.nn.Module):
    def forward(self, x, y):
        return x

class target_model(torch.nn.Module):
    def __init__(self, model, condition, target_info, mode, g_mode):
        super().__init__()
        self.model, self.condition = model, condition

    def forward(self, x):
        z = self.model.get_first_stage_encoding(self.model.encode_first_stage(x))
        return self.model(z, self.model.get_learned_conditioning(self.condition))[0]
"""


@pytest.fixture
def clones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in (("attacks/aspl.py", LOOP), ("code/attacks.py", ATTACKS), ("code/diff_mist.py", LOSS)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    for name in peers.UNUSED:  # what is put there goes with the test
        monkeypatch.setitem(sys.modules, name, sys.modules.get(name) or argparse)
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("torch.Tensor.cuda", lambda self: self)
    return tmp_path


@pytest.mark.parametrize("work", peers.WORK)
def test_every_step_is_timed_in_every_variant(work: str, clones: Path, tmp_path: Path) -> None:
    options = argparse.Namespace(
        model=str(build("sd1", tmp_path / "sd1")), photos=Path("examples/subject"), steps=2, threads=1,
        anti_dreambooth=clones, diff_protect=clones,
    )  # fmt: skip
    for variant in peers.VARIANTS:
        found = peers.measure(options, work, variant)
        assert found["seconds"] > 0 and found["gib"] > 0


def test_a_folder_that_is_no_clone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"expected attacks/aspl\.py in a clone"):
        peers.public(tmp_path, "attacks/aspl.py")


def test_the_table_has_ratios_to_the_public_code() -> None:
    row = {
        "work": "SDS",
        "seconds": dict(zip(peers.VARIANTS, (2.0, 1.0, 1.5, 6.0), strict=True)),
        "gib": dict(zip(peers.VARIANTS, (4.0, 3.0, 2.0, 9.0), strict=True)),
    }
    assert "| SDS | 2.0 s | 1.0 s | 1.5 s | 6.0 s | 3.0, 6.0, 4.0 | 4.0 / 3.0 / 2.0 / 9.0 GiB |" in peers.table([row])
