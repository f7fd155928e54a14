"""What a protection does to the latents of published autoencoders, and how visible it is.

    python -m benchmarks.transfer --photos SUBJECTS --autoencoders FOLDER --out docs

`FOLDER` holds published autoencoders in diffusers format, a folder each (taesd, taesdxl, taesd3, taef1: see
`udp.models.encoders`). The first photo of each subject is cropped to a square of `--side` pixels and changed within the
budget by random signs, by the default protection (which is made against the embedded model), by the same with
`--encoders`, and by a direct attack on each autoencoder: `STEPS` sign-gradient steps that maximise the latent distance.
For each autoencoder: the shift of the latents in standard deviations of the clean ones, and the PSNR of the decoded
picture. For each change: PSNR, SSIM and butteraugli's distance (Debian: libjxl-devtools) to the photo. Prints Markdown
and writes transfer.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import functools
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny

from benchmarks.texts import parse_method
from udp.models.encoders import Encoder
from udp.models.loading import load_model
from udp.photos import Photo, list_photos, read_photo, write_png
from udp.protection.pgd import PGD, PGDSettings
from udp.protection.visibility import visibility
from udp.settings import parse_levels
from udp.tensors import fit_square, to_pixels, to_tensor

STEPS = 40


def load(folder: Path | str) -> AutoencoderTiny:
    """A published autoencoder, frozen, in float32, from a folder or the Hub."""
    model = AutoencoderTiny.from_pretrained(folder, dtype=torch.float32).float().eval().requires_grad_(False)
    return model.to(memory_format=torch.channels_last)


def encoder_of(name: str, model: AutoencoderTiny) -> Encoder:
    """Its encoder as the attacks take it."""
    return Encoder(name, lambda pixels: model.encode(pixels * 2 - 1).latents)


def direct_attack(encoder: Encoder, square: torch.Tensor, budget: float) -> torch.Tensor:
    """The perturbation of `square` (1, 3, S, S) that moves its latents as far as `STEPS` sign-gradient steps can."""
    with torch.no_grad():
        clean = encoder.encode(square)
    start = (torch.rand(square.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1) * budget
    attack = PGD([square], [start], [budget], PGDSettings(budget / 8, "ascend", 1))
    attack.run(lambda perturbed, originals, step: (encoder.encode(perturbed[0]) - clean).square().mean(), STEPS)
    return attack.perturbations[0]


@torch.no_grad()
def effect(model: AutoencoderTiny, clean: torch.Tensor, changed: torch.Tensor) -> tuple[float, float]:
    """Shift of the latents in clean standard deviations, and PSNR in dB of the decoded picture against `clean`."""
    before, after = (model.encode(image * 2 - 1).latents for image in (clean, changed))
    decoded = (model.decode(after).sample / 2 + 0.5).clamp(0, 1)
    shift = float((after - before).square().mean().sqrt() / before.std())
    return shift, float(-10 * torch.log10((decoded - clean).square().mean()))


def butteraugli(clean: np.ndarray, changed: np.ndarray) -> float | None:
    """Butteraugli's distance of two uint8 pictures by libjxl's program; None where it is not installed."""
    if shutil.which("butteraugli_main") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        paths = [write_png(Path(folder) / f"{i}.png", Photo(str(i), p)) for i, p in enumerate((clean, changed))]
        said = subprocess.run(["butteraugli_main", *map(str, paths)], capture_output=True, text=True, check=True)
    return float(said.stdout.split()[0])


def seen(clean: Photo, changed: np.ndarray) -> dict[str, float]:
    """PSNR, SSIM and butteraugli of a change."""
    figures = visibility(clean, Photo(clean.name, changed))
    distance = butteraugli(clean.pixels, changed)
    return {
        "psnr_db": figures["psnr_db"], "ssim": figures["ssim"], **({"butteraugli": distance} if distance else {}),
    }  # fmt: skip


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--autoencoders", type=Path, required=True)
    parser.add_argument("--subjects", nargs="+", help="folder names (default: all)")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--method", default="eudp", help="as eudp, or eudp:reach_share=0.2")
    parser.add_argument("--budget", type=parse_levels, default=8 / 255)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--direct", action="store_true", help="also attack each autoencoder itself (slow)")
    parser.add_argument("--with-encoders", action="store_true", help="also protect against all of them at once (slow)")
    parser.add_argument("--out", type=Path, help="folder for transfer.json")
    options = parser.parse_args()
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    names = sorted(path.name for path in options.autoencoders.iterdir() if (path / "config.json").is_file())
    models = {name: load(options.autoencoders / name) for name in names}
    model = load_model(options.model)
    subjects = options.subjects or sorted(path.name for path in options.photos.iterdir() if path.is_dir())
    rows: list[dict] = []
    for subject in subjects:
        read = read_photo(list_photos(options.photos / subject)[0])
        square = fit_square(to_tensor(read.pixels)[None], options.side)
        photo = Photo(subject, to_pixels(square[0]))
        clean = to_tensor(photo.pixels)[None]
        signs = torch.randint(0, 2, clean.shape, generator=torch.Generator().manual_seed(0)) * 2.0 - 1
        method = parse_method(options.method, options.budget)
        make = functools.partial(dataclasses.replace, method)
        changes = {"random signs": to_pixels((clean + signs * options.budget)[0])}
        begun = time.monotonic()
        changes[method.name] = method([photo], model)[0].pixels
        seconds = {method.name: time.monotonic() - begun}
        if options.with_encoders:
            paths = ",".join(str(options.autoencoders / name) for name in names)
            begun = time.monotonic()
            changes[f"{method.name} + encoders"] = make(encoders=paths)([photo], model)[0].pixels
            seconds[f"{method.name} + encoders"] = time.monotonic() - begun
        for change, pixels in changes.items():
            changed = to_tensor(pixels)[None]
            effects = {name: effect(models[name], clean, changed) for name in names}
            rows.append({
                "subject": subject, "change": change, "seconds": seconds.get(change), **seen(photo, pixels),
                "shift": {name: value[0] for name, value in effects.items()},
                "decoded_db": {name: value[1] for name, value in effects.items()},
            })  # fmt: skip
        if options.direct:
            for name in names:
                moved = (clean + direct_attack(encoder_of(name, models[name]), clean, options.budget)).clamp(0, 1)
                shift, decoded = effect(models[name], clean, moved)
                rows.append({"subject": subject, "change": "direct attack", "shift": {name: shift},
                             "decoded_db": {name: decoded}})  # fmt: skip
        unchanged = {name: effect(models[name], clean, clean)[1] for name in names}
        rows.append({"subject": subject, "change": "none", "shift": {}, "decoded_db": unchanged})
        print(f"{subject}: done", flush=True)
    print(table(rows, names))
    if options.out:
        facts = {
            "date": datetime.date.today().isoformat(),
            "machine": f"{os.cpu_count()} CPU cores, torch {torch.__version__}",
            "side": options.side, "reach": model.suited(method).reach, "budget": options.budget, "model": options.model, "rows": rows,
        }  # fmt: skip
        (options.out / "transfer.json").write_text(json.dumps(facts, indent=1) + "\n")


def table(rows: Sequence[dict], names: Sequence[str]) -> str:
    """Markdown: a row a change; shift and decoded dB on each autoencoder (means), visibility (medians)."""
    lines = [f"| change | {' | '.join(names)} | PSNR, SSIM | butteraugli |", "|---" * (len(names) + 3) + "|"]
    for change in dict.fromkeys(row["change"] for row in rows):
        found = [row for row in rows if row["change"] == change]
        cells = []
        for name in names:
            shifts = [row["shift"][name] for row in found if name in row["shift"]]
            decoded = [row["decoded_db"][name] for row in found if name in row["decoded_db"]]
            moved = f"{statistics.mean(shifts):.2f}, " if shifts else ""
            cells.append(f"{moved}{statistics.mean(decoded):.1f} dB")
        look = [row for row in found if "psnr_db" in row]
        psnr, ssim = ([row[key] for row in look] for key in ("psnr_db", "ssim"))
        visible = f"{statistics.median(psnr):.1f} dB, {statistics.median(ssim):.3f}" if look else ""
        distances = [row["butteraugli"] for row in look if "butteraugli" in row]
        lines.append(
            f"| {change} | {' | '.join(cells)} | {visible} | "
            f"{f'{statistics.median(distances):.1f}' if distances else ''} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
