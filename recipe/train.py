"""Rebuild the embedded model, part by part.

    apt-get download endless-sky-high-dpi gcompris-qt-data lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 pysiogame
    python -m recipe.data --packages . --out data            # photographs and cartoons, with their licences
    python -m recipe.renders ... --out renders               # captioned renders (needs mitsuba)
    npm pack @lobehub/fluent-emoji-3d@1.1.0                    # unpacked: package/assets, named by code point
    python -m recipe.renders ... --cutouts package/assets --out cutouts
    python -m recipe.train encoder --teacher TAESD --data data renders cutouts --work work --minutes 60
    python -m recipe.train decoder --teacher TAESD --data data renders cutouts --work work --minutes 45
    python -m recipe.train unet    --data data renders cutouts --work work --minutes 60
    python -m recipe.train export  --data data renders cutouts --work work --out teacher
    python -m recipe.distil  --data data --teacher teacher --work work --minutes 60 --out taught       # a quarter of the weights
    python -m recipe.reptile --data data --teacher teacher --start taught --work work --minutes 40 --out udp/mini/weights
    python -m recipe.train pixel   --data data renders --work work --minutes 15
    python -m recipe.train pack    --data data renders --out packed     # one file, for a machine with a GPU

All resume from their checkpoint in `--work` when called again, and the learning rate follows the wall clock, so
`--minutes` is what they cost. `TAESD` is a folder with the published `madebyollin/taesd` or its Hub id. `decoder` and
`unet` need the encoder of the same `--work`; `unet --start FOLDER` begins from an earlier pipeline's U-Net and words.
`pixel`, the twin without autoencoder (`recipe.pixel`), stands alone and writes `udp/mini/pixel_weights` itself.

The teacher of today's weights is in the history of this repository: `udp/mini/weights` until 2026-11-30.

A GPU is taken where there is one by `unet` and `pixel`: `--batch 512 --views 16` fill it for `unet`, `--batch 256` for
`pixel`; `pack` carries the squares there as one file, which `--data packed` then names. Two trainings at once on two
cores: one thread each (OMP_NUM_THREADS=1), or they wait for each other.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from recipe import denoiser, pixel, student
from recipe.pictures import pack

PARTS = ("encoder", "decoder", "unet", "export", "pixel", "pack")


def load_student(work: Path):
    """The autoencoder in `work`: the encoder, and the decoder if it has been trained."""
    model = student.build()
    model.encoder.load_state_dict(torch.load(work / "encoder.pt", weights_only=True)["average"])
    if (work / "decoder.pt").exists():
        model.decoder.load_state_dict(torch.load(work / "decoder.pt", weights_only=True)["average"])
    return model.requires_grad_(False).eval()


def main() -> None:
    """Parse, train, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of pictures.jsonl or part-*.npz")
    parser.add_argument("--work", type=Path, default=Path("work"), help="checkpoints")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--out", type=Path, help="of export and pack")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16, help="squares a step of unet and pixel")
    parser.add_argument("--views", type=int, default=2, help="random views of each square that the U-Net sees")
    parser.add_argument("--teacher", default="madebyollin/taesd", help="folder or Hub id")
    parser.add_argument("--start", type=Path, help="pipeline folder whose U-Net and words `unet` begins from")
    options = parser.parse_args()
    if options.part in ("export", "pack") and options.out is None:
        parser.error(f"expected --out FOLDER for {options.part}, got none")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.part == "pack":
        print(pack(options.data, options.seed, options.out))
        return
    work, minutes, seed = options.work, options.minutes, options.seed
    work.mkdir(parents=True, exist_ok=True)
    if options.part == "pixel":
        out = options.out or pixel.WEIGHTS
        pixel.save(pixel.train(options.data, work / "pixel.pt", minutes, seed, options.batch, device), out)
    elif options.part == "encoder":
        student.train_encoder(student.load_teacher(options.teacher), options.data, work / "encoder.pt", minutes, seed)
    elif options.part == "decoder":
        teacher = student.load_teacher(options.teacher)
        student.train_decoder(load_student(work), teacher, options.data, work / "decoder.pt", minutes, seed)
    else:
        vae, spent = load_student(work).to(device), minutes if options.part == "unet" else 0
        pipeline = denoiser.train(
            vae, options.data, work / "unet.pt", spent, seed, options.batch, options.views, options.start
        )
        if options.part == "export":
            denoiser.save(pipeline, options.out)


if __name__ == "__main__":
    main()
