"""Rebuild the embedded model, part by part.

    apt-get download endless-sky-high-dpi gcompris-qt-data lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 pysiogame
    python -m recipe.data --packages . --out data            # photographs and cartoons, with their licences
    python -m recipe.renders ... --out renders               # captioned renders (needs mitsuba)
    npm pack @lobehub/fluent-emoji-3d@1.1.0                    # unpacked: package/assets, named by code point
    python -m recipe.renders ... --cutouts package/assets --out cutouts
    python -m recipe.train autoencoder --data data renders --work work
    python -m recipe.train unet        --data cutouts data renders --work work --minutes 66
    python -m recipe.train decoder     --data cutouts data renders --work work --minutes 8
    python -m recipe.train export      --data cutouts data renders --work work --out udp/mini/weights
    python -m recipe.train pixel       --data data renders --work work --minutes 15
    python -m recipe.train pack        --data data renders --out packed     # one file, for a machine with a GPU

The autoencoder is computed in a minute; the others resume from their checkpoint in `--work` when called again, and the
learning rate follows the wall clock, so `--minutes` is what they cost. `unet` needs the autoencoder
of the same `--work`, and `decoder` both: it refines the decoder on what that U-Net makes of the pictures. `pixel`, the
twin without autoencoder (`recipe.pixel`), stands alone and writes `udp/mini/pixel_weights` itself.

A GPU is taken where there is one. `--batch 512 --views 16` fill it for `unet`, `--batch 256` for the others; `pack` carries
the squares there as one file, which `--data packed` then names.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from recipe import autoencoder, denoiser, pixel, refine
from recipe.pictures import pack


def load_autoencoder(work: Path):
    """The autoencoder in `work`."""
    model = autoencoder.build()
    model.load_state_dict(torch.load(work / "autoencoder.pt", weights_only=True)["model"])
    return model.requires_grad_(False).eval()


def main() -> None:
    """Parse, train, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("autoencoder", "unet", "decoder", "export", "pixel", "pack"))
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of pictures.jsonl or part-*.npz")
    parser.add_argument("--work", type=Path, default=Path("work"), help="checkpoints")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "udp" / "mini" / "weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16, help="squares a step (the decoder takes a quarter)")
    parser.add_argument("--views", type=int, default=2, help="random views of each square that the U-Net sees")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.part == "pack":
        print(pack(options.data, options.seed, options.out))
        return
    options.work.mkdir(parents=True, exist_ok=True)
    if options.part == "autoencoder":
        model = autoencoder.fit(options.data, options.seed)
        torch.save({"model": model.state_dict()}, options.work / "autoencoder.pt")
    elif options.part == "pixel":
        out = pixel.WEIGHTS if options.out == parser.get_default("out") else options.out
        checkpoint = options.work / "pixel.pt"
        pixel.save(pixel.train(options.data, checkpoint, options.minutes, options.seed, options.batch, device), out)
    else:
        minutes = options.minutes if options.part == "unet" else 0
        vae = load_autoencoder(options.work).to(device)
        unet = options.work / "unet.pt"
        pipeline = denoiser.train(vae, options.data, unet, minutes, options.seed, options.batch, options.views)
        refined = options.work / "decoder.pt"
        if options.part == "decoder":
            refine.train(pipeline, options.data, refined, options.minutes, options.seed, max(1, options.batch // 4))
        elif options.part == "export":
            if refined.exists():
                decoder = torch.load(refined, map_location=device, weights_only=True)["decoder"]
                pipeline.vae.decoder.load_state_dict(decoder)
            denoiser.save(pipeline, options.out)


if __name__ == "__main__":
    main()
