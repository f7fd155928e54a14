"""Rebuild the embedded model, part by part.

    apt-get download endless-sky-high-dpi gcompris-qt-data lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 pysiogame
    python -m udp.mini.data --packages . --out data            # photographs and cartoons, with their licences
    python -m udp.mini.renders ... --out renders               # captioned renders (needs mitsuba)
    python -m udp.mini.train autoencoder --data data renders --work work --minutes 36
    python -m udp.mini.train decoder     --data data renders --work work --minutes 10
    python -m udp.mini.train unet        --data data renders --work work --minutes 60
    python -m udp.mini.train export      --data data renders --work work --out udp/mini/weights
    python -m udp.mini.train pixel       --data data renders --work work --minutes 15

Each step resumes from its checkpoint in `--work` when called again, and the learning rate follows the wall clock, so
`--minutes` is what it costs. Run them in this order: `decoder` whitens the latents of `autoencoder` and refines the
decoder on them; `unet` learns the whitened latents. `pixel`, the twin without autoencoder (`udp.mini.pixel`), stands alone
and writes `udp/mini/pixel_weights` itself.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from udp.mini import autoencoder, denoiser, pixel
from udp.mini.pictures import CropSource


def whitened(folders: list[Path], work: Path) -> None:
    """Write `work/decoder.pt`, the whitened autoencoder that the decoder's fine-tune starts from."""
    model = autoencoder.build()
    model.load_state_dict(torch.load(work / "autoencoder.pt", weights_only=True)["model"])
    images = CropSource(folders, seed=1).draw(512, 64)
    torch.save({"model": autoencoder.whiten(model, images).state_dict()}, work / "decoder.pt")


def load_autoencoder(work: Path):
    """The autoencoder with the newest decoder in `work`."""
    model = autoencoder.build()
    model.load_state_dict(torch.load(work / "decoder.pt", weights_only=True)["model"])
    return model.requires_grad_(False).eval()


def main() -> None:
    """Parse, train, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("autoencoder", "decoder", "unet", "export", "pixel"))
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of pictures.jsonl or part-*.npz")
    parser.add_argument("--work", type=Path, required=True, help="checkpoints")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "weights")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.part == "autoencoder":
        autoencoder.train(options.data, options.work / "autoencoder.pt", options.minutes, options.seed)
    elif options.part == "pixel":
        out = pixel.WEIGHTS if options.out == parser.get_default("out") else options.out
        pixel.save(pixel.train(options.data, options.work / "pixel.pt", options.minutes, options.seed), out)
    elif options.part == "decoder":
        if not (options.work / "decoder.pt").exists():
            whitened(options.data, options.work)
        autoencoder.train(options.data, options.work / "decoder.pt", options.minutes, options.seed, encoder=False)
    else:
        minutes = options.minutes if options.part == "unet" else 0
        pipeline = denoiser.train(
            load_autoencoder(options.work), options.data, options.work / "unet.pt", minutes, options.seed
        )
        if options.part == "export":
            denoiser.save(pipeline, options.out)


if __name__ == "__main__":
    main()
