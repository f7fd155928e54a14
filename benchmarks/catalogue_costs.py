"""What protecting a photo costs by method, measured on a processor and counted for a GPU.

python -m benchmarks.catalogue methods --out docs/scale.json    # measures
python -m benchmarks.catalogue_costs                            # the table of docs/scale.md, from docs/scale.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.memory import sd15_networks
from udp.models.loading import load_model
from udp.photos import list_photos, read_photos
from udp.protection.methods import METHODS
from udp.protection.pgd import PGDSettings

RECORD = Path(__file__).parents[1] / "docs" / "scale.json"
TIMED = ("eudp", "udp", "advdm", "mist", "photoguard", "random")
SET = 6


def methods(room: Path, options: argparse.Namespace) -> dict[str, object]:
    """Processor seconds and size of a photo by each of `options.methods`, and the operations counted; `room` is for files."""
    torch.set_num_threads(1)
    model = load_model(options.model)
    found = read_photos(list_photos(Path("examples/subject"))[: options.photos])
    rows = {}
    for name in options.methods:
        start, size = time.process_time(), 0
        protected = METHODS[name]()(found, model)
        seconds = (time.process_time() - start) / len(found)
        for photo in protected:
            Image.fromarray(photo.pixels).save(room / "size.png")
            size += (room / "size.png").stat().st_size
        rows[name] = {"processor_seconds_a_photo": round(seconds, 2), "png_mb": round(size / len(found) / 1e6, 2)}
        print(name, rows[name], file=sys.stderr, flush=True)
    return {"photos": len(found), "threads": 1, "by_method": rows, "teraflop_a_photo_sd15": operations()}


def operations() -> dict[str, float]:
    """10^12 operations of protecting one 512 px photo of a set of six against Stable Diffusion 1.5, by method, by its default settings.

    A forward pass of U-Net and encoder is counted on the shapes alone; gradients to the pixels cost one more, those of weights too
    two more. Checkpointing, which a GPU uses by default, repeats the forward pass.
    """
    with torch.device("meta"):
        unet, autoencoder = sd15_networks()
        noise, words = torch.zeros(1, 4, 64, 64), torch.zeros(1, 77, 768)
        network = flops(lambda: unet(noise, torch.zeros(1), encoder_hidden_states=words))
        encoder = flops(lambda: autoencoder.encode(torch.zeros(1, 3, 512, 512)))
    found = {"unet_forward": network, "encoder_forward": encoder}
    for name in TIMED[:-1]:
        method = METHODS[name]()
        draws, weight = getattr(method, "draws", 0), getattr(method, "encoder_weight", 0)
        attack = 3 * (draws * network + encoder) + (encoder if weight else 0)  # the clean photo is encoded too
        learned = min(PGDSettings.group_size, SET) / SET * getattr(method, "surrogate_steps", 0)
        found[name] = method.rounds * (method.pgd_steps * attack + 4 * learned * network)
    return {name: round(value / 1e12, 2) for name, value in found.items()}


def flops(run: Callable[[], object]) -> float:
    """Operations of `run`, which computes nothing where all is on the meta device."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def table(found: dict[str, dict]) -> str:
    """Photos an hour and cost, by method and machine, in Markdown, from what `methods` measured and counted.

    Without random noise, whose time is all reading and writing, which is not in these figures.
    """
    timed, counted = found["methods"]["by_method"], found["methods"]["teraflop_a_photo_sd15"]
    lines = ["| | method | photos an hour | 500 | 50,000 | 5,000,000 |", "|---|---|---|---|---|---|"]
    for machine in MACHINES:
        names = [name for name in TIMED[:-1] if name in (counted if machine.counted else timed)]
        lines += [
            f"| {machine.title} | `{name}` | {machine.row(timed.get(name, {}), counted.get(name, 0))} |"
            for name in names
        ]
    return "\n".join(lines)


@dataclass(frozen=True)
class Machine:
    """A machine that is rented: dollars an hour, and its cores, or the operations a second that it is taken to sustain."""

    title: str
    dollars: float
    cores: int = 0
    teraflops: float = 0.0

    @property
    def counted(self) -> bool:
        """Whether its figures are arithmetic on operations, not a measurement of processor seconds."""
        return not self.cores

    def row(self, timed: dict[str, float], teraflop: float) -> str:
        """Photos an hour, and hours and dollars of three catalogues."""
        rate = (
            self.teraflops * 3600 / teraflop if self.counted else self.cores * 3600 / timed["processor_seconds_a_photo"]
        )
        cells = [f"{rate:,.0f}"]
        for photos in (500, 50_000, 5_000_000):
            hours = photos / rate
            cells.append(
                f"{hours:,.1f} h, ${hours * self.dollars:,.2f}"
                if hours < 100
                else f"{hours:,.0f} h, ${hours * self.dollars:,.0f}"
            )
        return " | ".join(cells)


MACHINES = (
    Machine("8 cores, embedded model, measured seconds", 0.03, cores=8),
    Machine("L4, SD 1.5, arithmetic", 0.80, teraflops=30),
    Machine("H200, SD 1.5, arithmetic", 5.00, teraflops=247),
)


if __name__ == "__main__":
    print(table(json.loads(RECORD.read_text())))
