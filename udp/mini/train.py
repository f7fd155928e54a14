"""Rebuild the embedded model, part by part.

    apt-get download endless-sky-high-dpi gcompris-qt-data lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 pysiogame
    python -m udp.mini.data --packages . --out data            # photographs and cartoons, with their licences
    python -m udp.mini.renders ... --out renders               # captioned renders (needs mitsuba)
    python -m udp.mini.train autoencoder --data data renders --work work
    python -m udp.mini.train unet        --data data renders --work work --minutes 66
    python -m udp.mini.train decoder     --data data renders --work work --minutes 8
    python -m udp.mini.train export      --data data renders --work work --out udp/mini/weights
    python -m udp.mini.train pixel       --data data renders --work work --minutes 15

The autoencoder is computed in a minute; the others resume from their checkpoint in `--work` when called again, and the
learning rate follows the wall clock, so `--minutes` is what they cost. `unet` needs the autoencoder
of the same `--work`, and `decoder` both: it refines the decoder on what that U-Net makes of the pictures.
`pixel`, the twin without autoencoder (`udp.mini.pixel`), stands alone and writes `udp/mini/pixel_weights` itself.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from udp.mini import autoencoder, denoiser, pixel, refine


def load_autoencoder(work: Path):
    """The autoencoder in `work`."""
    model = autoencoder.build()
    model.load_state_dict(torch.load(work / "autoencoder.pt", weights_only=True)["model"])
    return model.requires_grad_(False).eval()


def main() -> None:
    """Parse, train, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("autoencoder", "unet", "decoder", "export", "pixel"))
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of pictures.jsonl or part-*.npz")
    parser.add_argument("--work", type=Path, required=True, help="checkpoints")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "weights")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.part == "autoencoder":
        model = autoencoder.fit(options.data, options.seed)
        torch.save({"model": model.state_dict()}, options.work / "autoencoder.pt")
    elif options.part == "pixel":
        out = pixel.WEIGHTS if options.out == parser.get_default("out") else options.out
        pixel.save(pixel.train(options.data, options.work / "pixel.pt", options.minutes, options.seed), out)
    else:
        minutes = options.minutes if options.part == "unet" else 0
        vae = load_autoencoder(options.work)
        pipeline = denoiser.train(vae, options.data, options.work / "unet.pt", minutes, options.seed)
        refined = options.work / "decoder.pt"
        if options.part == "decoder":
            refine.train(pipeline, options.data, refined, options.minutes, options.seed)
        elif options.part == "export":
            if refined.exists():
                pipeline.vae.decoder.load_state_dict(torch.load(refined, weights_only=True)["decoder"])
            denoiser.save(pipeline, options.out)


if __name__ == "__main__":
    main()
