"""Make the example images anew: six photographs of one toy, six artworks in one style, six portraits of one person.

    python -m examples.render --out examples

Run from the repository's root. Needs mitsuba for the toy; `--draft` renders small and noisy in a minute or two.
Everything shown is built here from primitives and procedural textures: no third-party mesh, photo or texture.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from recipe.render_meshes import Mesh, rotation, write_ply
from recipe.render_objects import Surface
from recipe.render_scenes import Camera, bsdf, crop_backdrop, denoise, rgb, to_linear, to_srgb, view

from .artworks import ARTWORKS
from .places import beach, blanket, garden, lawn, room, seaside, snow, studio, table, woods
from .portraits import SITTINGS, portrait
from .toy import pip


@dataclass(frozen=True)
class Shot:
    """One photograph: the ground, the backdrop behind it (None for the ground's own colour), camera, and light.

    `sun` is (azimuth, elevation) in degrees and `softness` the radius of its disk; `warmth` tints it.
    """

    ground: Callable[[np.random.Generator], list[tuple[Mesh, Surface]]]
    backdrop: Callable[[tuple[int, int], np.random.Generator], np.ndarray]
    camera: Camera
    sun: tuple[float, float]
    softness: float
    warmth: tuple[float, float, float]
    strength: float
    zenith: tuple[float, float, float]
    exposure: float
    lift: float = 0.0


SHOTS = [
    Shot(
        table,
        lambda s, r: room(s, r, (0.93, 0.84, 0.70), True),
        Camera(-84, 12, 0.76, (0.0, -0.02), (512, 512), 4.6),
        (-140, 42),
        1.6,
        (1.0, 0.86, 0.68),
        2.6,
        (0.95, 0.9, 0.85),
        0.36,
    ),
    Shot(
        lawn,
        garden,
        Camera(-122, 11, 0.76, (0.03, -0.03), (512, 640), 4.6),
        (-60, 48),
        0.5,
        (1.0, 0.95, 0.85),
        3.6,
        (0.6, 0.8, 1.2),
        0.34,
        0.03,
    ),
    Shot(
        beach,
        seaside,
        Camera(-58, 11, 0.80, (-0.06, -0.03), (640, 480), 4.6),
        (-110, 38),
        0.5,
        (1.0, 0.93, 0.80),
        4.0,
        (0.6, 0.8, 1.2),
        0.44,
    ),
    Shot(
        studio,
        lambda s, r: room(s, r, (0.95, 0.66, 0.70), False),
        Camera(-104, 9, 0.78, (0.0, 0.0), (512, 512), 5.2),
        (-130, 55),
        2.6,
        (1.0, 0.97, 0.94),
        2.2,
        (1.0, 1.0, 1.0),
        0.46,
    ),
    Shot(
        blanket,
        lambda s, r: room(s, r, (0.62, 0.70, 0.66), False),
        Camera(-64, 28, 0.76, (0.02, 0.0), (512, 512), 4.4),
        (-150, 50),
        2.0,
        (1.0, 0.92, 0.80),
        2.4,
        (0.9, 0.95, 1.05),
        0.32,
    ),
    Shot(
        snow,
        woods,
        Camera(-130, 12, 0.76, (0.03, -0.03), (512, 512), 4.6),
        (-95, 30),
        0.6,
        (1.0, 0.84, 0.66),
        3.0,
        (0.8, 0.88, 1.1),
        0.52,
        -0.06,
    ),
]


def photograph(shot: Shot, seed: int, samples: int, scale: float) -> Image.Image:
    """Render one shot with `samples` samples a pixel, its size multiplied by `scale`."""
    import mitsuba as mi

    rng = np.random.default_rng(seed)
    size = (round(shot.camera.size[0] * scale), round(shot.camera.size[1] * scale))
    toy = pip().moved(offset=(0, 0, shot.lift))
    origin, axes, fov = view([toy], shot.camera)
    transform = mi.ScalarTransform4f()
    azimuth, elevation = np.radians(shot.sun)
    sun = 10 * np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    radiance = [float(100 / np.pi * shot.strength * c / shot.softness**2) for c in shot.warmth]
    # Brightest overhead, a warmer glow at the horizon; black below, where the ground hides it anyway.
    height = np.linspace(1, -1, 32)[:, None, None] * np.ones((1, 64, 1))
    dome = np.where(height > 0, np.array(shot.zenith) * (0.5 + 0.7 * height), 0.02)
    turned = rotation("z", shot.camera.azimuth + 90)  # the ground's far side is always opposite the camera
    with tempfile.TemporaryDirectory() as folder:
        ground = [(mesh.moved(turned), surface) for mesh, surface in shot.ground(rng)]
        scene = {
            "type": "scene",
            "integrator": {"type": "path", "max_depth": 4, "hide_emitters": True},
            "sensor": {
                "type": "thinlens",
                "fov": fov,
                "fov_axis": "x",
                "aperture_radius": 0.05,
                "focus_distance": shot.camera.distance - 0.35,
                "to_world": transform.look_at(origin=list(origin), target=list(origin + axes[2]), up=[0, 0, 1]),
                "film": {
                    "type": "hdrfilm",
                    "width": size[0],
                    "height": size[1],
                    "pixel_format": "rgba",
                    "rfilter": {"type": "gaussian", "stddev": 0.45},
                },
                "sampler": {"type": "multijitter"},
            },
            "sky": {
                "type": "envmap",
                "bitmap": mi.Bitmap(dome.astype(np.float32)),
                "to_world": transform.rotate([1, 0, 0], 90),
            },
            "sun": {
                "type": "disk",
                "emitter": {"type": "area", "radiance": {"type": "rgb", "value": radiance}},
                "to_world": transform.look_at(origin=list(sun), target=[0, 0, 0], up=[0.1, 0, 1]).scale(shot.softness),
            },
        }
        for number, (mesh, surface) in enumerate(toy.parts + ground):
            write_ply(mesh, Path(folder) / f"{number}.ply")
            scene[f"part{number}"] = {
                "type": "ply",
                "filename": f"{folder}/{number}.ply",
                "bsdf": bsdf(surface),
                "face_normals": mesh.normals is None,
            }
        if shot.ground is lawn:
            scene["soil"] = {
                "type": "rectangle",
                "to_world": transform.scale(40),
                "bsdf": {"type": "diffuse", "reflectance": rgb(to_linear((0.20, 0.34, 0.09)))},
            }
        pixels = np.array(mi.render(mi.load_dict(scene), spp=samples, seed=seed))
    alpha = np.clip(pixels[..., 3:], 0, 1)
    colour = np.nan_to_num(pixels[..., :3]) / np.maximum(alpha, 1e-3)
    brightness = (colour.mean(axis=2) * alpha[..., 0]).sum() / alpha.sum()
    image = denoise(np.clip(to_srgb(colour * shot.exposure / brightness), 0, 1))
    edge = int((alpha[:, :8].mean(axis=(1, 2)) < 0.5).sum())  # the row where the ground ends and the backdrop begins
    behind = crop_backdrop(shot.backdrop(size, rng), edge, size) / 255
    image = image * alpha + behind * (1 - alpha)
    return Image.fromarray((np.clip(image, 0, 1) * 255).round().astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("examples"), help="folder for subject/, style/ and person/")
    parser.add_argument("--draft", action="store_true", help="small and noisy, to see the composition")
    parser.add_argument("--only", choices=["subject", "style", "person"], help="make one set alone")
    arguments = parser.parse_args()
    wanted = [arguments.only] if arguments.only else ["subject", "style", "person"]
    for name in wanted:
        (arguments.out / name).mkdir(parents=True, exist_ok=True)
    if "subject" in wanted:
        import mitsuba as mi

        mi.set_variant("scalar_rgb")
        for number, shot in enumerate(SHOTS, start=1):
            image = photograph(shot, number, 16 if arguments.draft else 144, 0.4 if arguments.draft else 1.0)
            image.save(arguments.out / "subject" / f"toy_{number:02d}.png", optimize=True)
    if "style" in wanted:
        for number, draw in enumerate(ARTWORKS, start=1):
            draw().save(arguments.out / "style" / f"work_{number:02d}.png", optimize=True)
    if "person" in wanted:
        for number, sitting in enumerate(SITTINGS, start=1):
            portrait(sitting, number).save(arguments.out / "person" / f"portrait_{number:02d}.png", optimize=True)


if __name__ == "__main__":
    main()
