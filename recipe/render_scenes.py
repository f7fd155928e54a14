"""One training render: objects on a floor, lit and photographed with mitsuba, in front of a backdrop.

mitsuba is imported inside functions, for it is an optional dependency of the training recipe alone.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recipe.render_meshes import write_ply
from recipe.render_objects import Surface, Thing

# Conductors, base colour in linear [0, 1].
METALS = {"gold": (1.0, 0.71, 0.29), "silver": (0.95, 0.93, 0.88), "copper": (0.93, 0.54, 0.40)}


@dataclass(frozen=True)
class Floor:
    """A floor: `texture` (H, W, 3) uint8 repeating every `tile` object sizes, out to `reach` from the origin.

    A soft floor melts into the backdrop over the outer half of its reach; a hard one ends like a table top,
    sooner behind the objects than in front.
    """

    texture: np.ndarray
    tile: float
    reach: float
    soft: bool


@dataclass(frozen=True)
class Light:
    """Surroundings `sky` (H, W, 3) linear, and a sun disk: direction in degrees, linear colour, strength and radius.

    `exposure` is the mean linear value the render is brought to.
    """

    sky: np.ndarray
    azimuth: float
    elevation: float
    colour: tuple[float, float, float]
    strength: float
    radius: float
    exposure: float


@dataclass(frozen=True)
class Camera:
    """An orbit around the objects in degrees, the share of the frame they fill and where their centre lies in it.

    `fill` is in (0, 1]; `shift` moves the centre by a share of the frame; `size` is the (width, height) in pixels.
    """

    azimuth: float
    elevation: float
    fill: float
    shift: tuple[float, float]
    size: tuple[int, int]
    distance: float = 5.0


def to_linear(srgb: np.ndarray | tuple) -> np.ndarray:
    """sRGB in [0, 1] to linear light."""
    srgb = np.asarray(srgb, dtype=np.float32)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light to sRGB in [0, 1], with highlights above 0.8 rolled off instead of clipped."""
    linear = np.maximum(linear, 0)
    linear = np.where(linear > 0.8, 0.8 + 0.2 * (1 - np.exp(-(linear - 0.8) / 0.2)), linear)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def texture(image: np.ndarray, repeat: float = 1.0) -> dict:
    """A mitsuba bitmap texture from (H, W, 3) uint8 sRGB."""
    import mitsuba as mi

    transform = mi.ScalarTransform4f().scale([repeat, repeat, 1])
    return {"type": "bitmap", "bitmap": mi.Bitmap(np.array(image, order="C")), "to_uv": transform}


def bsdf(surface: Surface) -> dict:
    """The mitsuba material of a surface: "plastic", "glass", "metal", a name in METALS, and any other as matte."""
    if surface.kind in METALS:
        return {"type": "principled", "base_color": rgb(METALS[surface.kind]), "metallic": 1.0, "roughness": 0.22}
    if surface.kind == "metal":
        return {"type": "principled", "base_color": rgb(to_linear(surface.colour)), "metallic": 0.9, "roughness": 0.3}
    if surface.kind == "glass":
        tint = np.clip(to_linear(surface.colour) * 0.7 + 0.3, 0, 1)
        return {"type": "thindielectric", "specular_transmittance": rgb(tint)}
    colour = texture(surface.texture) if surface.texture is not None else rgb(to_linear(surface.colour))
    if surface.kind == "plastic":
        return {
            "type": "twosided",
            "inner": {"type": "principled", "base_color": colour, "roughness": 0.35, "specular": 0.5},
        }
    return {"type": "twosided", "inner": {"type": "diffuse", "reflectance": colour}}


def rgb(linear: tuple | np.ndarray) -> dict:
    """A mitsuba colour from linear values in [0, 1]."""
    return {"type": "rgb", "value": [float(np.clip(x, 0, 0.98)) for x in linear]}


def view(things: list[Thing], camera: Camera) -> tuple[np.ndarray, np.ndarray, float]:
    """Camera position (3,), axes (3, 3) with rows right, up, forward, and the horizontal field of view in degrees."""
    boxes = [thing.bounds() for thing in things]
    low, high = np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)
    a, e = np.radians(camera.azimuth), np.radians(camera.elevation)
    target = (low + high) / 2
    origin = target + camera.distance * np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
    points = np.concatenate(
        [mesh.vertices[:: max(1, len(mesh.vertices) // 500)] for thing in things for mesh, _ in thing.parts]
    )
    for _ in range(2):  # the second pass centres the projected box, not its corners' mean
        forward = (target - origin) / np.linalg.norm(target - origin)
        right = np.cross(forward, [0, 0, 1])
        right /= np.linalg.norm(right)
        axes = np.stack([right, np.cross(right, forward), forward])
        seen = (points - origin) @ axes.T
        seen = seen[:, :2] / seen[:, 2:]
        middle, extent = (seen.max(axis=0) + seen.min(axis=0)) / 2, np.ptp(seen, axis=0)
        aspect = camera.size[0] / camera.size[1]
        width = max(extent[0], extent[1] * aspect) / camera.fill
        middle = middle - np.array(camera.shift) * [width, width / aspect]
        target = origin + axes[2] + axes[0] * middle[0] + axes[1] * middle[1]
    return origin, axes, float(2 * np.degrees(np.arctan(width / 2)))


def floor_coverage(origin: np.ndarray, axes: np.ndarray, fov: float, size: tuple[int, int], floor: Floor) -> np.ndarray:
    """How much of a soft floor is left at each pixel (H, W), in [0, 1]; pixels above the horizon are 0."""
    half = np.tan(np.radians(fov / 2))
    x = (np.arange(size[0]) + 0.5) / size[0] * 2 - 1
    y = (1 - (np.arange(size[1]) + 0.5) / size[1] * 2) * size[1] / size[0]
    rays = axes[2] + half * (x[None, :, None] * axes[0] + y[:, None, None] * axes[1])
    distance = np.where(rays[..., 2] < -1e-4, -origin[2] / np.minimum(rays[..., 2], -1e-4), np.inf)
    hit = np.linalg.norm(origin[:2] + np.minimum(distance, 1e4)[..., None] * rays[..., :2], axis=-1)
    left = np.clip((floor.reach - hit) / (0.5 * floor.reach), 0, 1)
    return left * left * (3 - 2 * left)


def horizon_row(axes: np.ndarray, fov: float, size: tuple[int, int]) -> float:
    """The pixel row of the horizon, counted from the top; it may lie outside the frame."""
    slope = -axes[2, 2] / max(axes[1, 2], 1e-6)  # height of the horizon on the image plane one unit away
    return size[1] / 2 - slope / np.tan(np.radians(fov / 2)) * size[0] / 2


def crop_backdrop(backdrop: np.ndarray, horizon: float, size: tuple[int, int]) -> np.ndarray:
    """Cut the frame (H, W, 3) out of a larger backdrop, its middle row at the horizon row as far as it reaches."""
    height, width = backdrop.shape[:2]
    top = int(np.clip(round(height / 2 - horizon), 0, height - size[1]))
    left = (width - size[0]) // 2
    return backdrop[top : top + size[1], left : left + size[0]]


def denoise(image: np.ndarray, noise_level: float = 0.035) -> np.ndarray:
    """A 3 x 3 bilateral filter on (H, W, 3) in [0, 1]: evens out noise up to about `noise_level`, keeps edges."""
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    total, weights = image.copy(), np.ones(image.shape[:2] + (1,))
    for dy in range(3):
        for dx in range(3):
            if (dy, dx) != (1, 1):
                other = padded[dy : dy + image.shape[0], dx : dx + image.shape[1]]
                gap = ((other - image) ** 2).mean(axis=2, keepdims=True)
                weight = np.exp(-gap / (2 * noise_level**2)) * (0.6 if dy != 1 and dx != 1 else 0.8)
                total, weights = total + weight * other, weights + weight
    return total / weights


def mitsuba_scenes(things: list[Thing], floor: Floor, light: Light, camera: Camera) -> tuple:
    """Load the scene, and the objects alone under a depth integrator (its alpha is their mask); and the view."""
    import mitsuba as mi

    origin, axes, fov = view(things, camera)
    transform = mi.ScalarTransform4f()
    glass = any(surface.kind == "glass" for thing in things for _, surface in thing.parts)
    azimuth, elevation = np.radians(light.azimuth), np.radians(light.elevation)
    sun = 10 * np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    plane = transform.rotate([0, 0, 1], camera.azimuth) if not floor.soft else transform
    # A table top ends behind the objects, not in front of them.
    plane = plane.translate([0 if floor.soft else 0.6 * floor.reach, 0, 0]).scale(floor.reach)
    with tempfile.TemporaryDirectory() as folder:
        shapes = {}
        for number, (mesh, surface) in enumerate(part for thing in things for part in thing.parts):
            path = Path(folder) / f"{number}.ply"
            write_ply(mesh, path)
            shapes[f"part{number}"] = mi.load_dict(
                {"type": "ply", "filename": str(path), "bsdf": bsdf(surface), "face_normals": mesh.normals is None}
            )
    sensor = {
        "type": "perspective",
        "fov": fov,
        "fov_axis": "x",
        "to_world": transform.look_at(origin=list(origin), target=list(origin + axes[2]), up=[0, 0, 1]),
        "film": {
            "type": "hdrfilm",
            "width": camera.size[0],
            "height": camera.size[1],
            "pixel_format": "rgba",
            "rfilter": {"type": "gaussian", "stddev": 0.45},
        },
        "sampler": {"type": "multijitter"},
    }
    # Through clear glass the sun is found by chance alone: a wide, weak one keeps that from showing as bright specks.
    radius, strength = (4.0, 0.6 * light.strength) if glass else (light.radius, light.strength)
    radiance = [float(c * strength / radius**2) for c in light.colour]
    scene = shapes | {
        "type": "scene",
        "sensor": sensor,
        "integrator": {"type": "path", "max_depth": 7, "hide_emitters": True}
        if glass
        else {"type": "direct", "hide_emitters": True, "emitter_samples": 2, "bsdf_samples": 1},
        "sky": {
            "type": "envmap",
            "bitmap": mi.Bitmap(np.ascontiguousarray(light.sky, dtype=np.float32)),
            "to_world": transform.rotate([1, 0, 0], 90),
        },
        "sun": {
            "type": "disk",
            "emitter": {"type": "area", "radiance": {"type": "rgb", "value": radiance}},
            "to_world": transform.look_at(origin=list(sun), target=[0, 0, 0], up=[0.1, 0, 1]).scale(radius),
        },
        "floor": {
            "type": "rectangle",
            "to_world": plane,
            "bsdf": {"type": "diffuse", "reflectance": texture(floor.texture, 2 * floor.reach / floor.tile)},
        },
    }
    mask = shapes | {"type": "scene", "sensor": sensor, "integrator": {"type": "depth"}}
    return mi.load_dict(scene), mi.load_dict(mask), (origin, axes, fov)


def render(
    things: list[Thing], floor: Floor, light: Light, camera: Camera, backdrop: np.ndarray, seed: int, samples: int = 36
) -> np.ndarray:
    """Render one image (H, W, 3) uint8.

    `backdrop` is an sRGB image (h, w, 3) uint8 at least as large as the frame; its middle row is taken for the
    horizon. `samples` is the number of samples a pixel.
    """
    import mitsuba as mi

    scene, mask_scene, (origin, axes, fov) = mitsuba_scenes(things, floor, light, camera)
    pixels = np.array(mi.render(scene, spp=samples, seed=seed))
    colour, alpha = np.nan_to_num(pixels[..., :3]), np.clip(pixels[..., 3:], 0, 1)
    colour = colour / np.maximum(alpha, 1e-3)
    brightness = (colour.mean(axis=2) * alpha[..., 0]).sum() / max(alpha.sum(), 1.0)
    highlight = np.percentile(colour.max(axis=2)[alpha[..., 0] > 0.5], 97)
    gain = min(light.exposure / max(float(brightness), 1e-4), 1.1 / max(float(highlight), 1e-4))
    image = denoise(np.clip(to_srgb(colour * gain), 0, 1))
    if floor.soft:
        mask = np.clip(np.array(mi.render(mask_scene, spp=16, seed=seed))[..., -1], 0, 1)
        alpha = alpha * np.maximum(floor_coverage(origin, axes, fov, camera.size, floor), mask)[..., None]
    behind = crop_backdrop(backdrop, horizon_row(axes, fov, camera.size), camera.size) / 255
    return (np.clip(image * alpha + behind * (1 - alpha), 0, 1) * 255).round().astype(np.uint8)
