"""What the training renders show: furniture models from Sweet Home 3D catalogues, and toys built of primitives."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from recipe.render_meshes import Mesh, ball, box, cylinder, lathe, parse_obj, ring

# sRGB in [0, 1].
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.80, 0.09, 0.08),
    "orange": (0.93, 0.45, 0.08),
    "yellow": (0.95, 0.80, 0.12),
    "green": (0.16, 0.56, 0.20),
    "blue": (0.12, 0.30, 0.78),
    "purple": (0.45, 0.18, 0.62),
    "pink": (0.93, 0.50, 0.65),
    "brown": (0.42, 0.25, 0.13),
    "black": (0.06, 0.06, 0.07),
    "white": (0.92, 0.91, 0.89),
    "grey": (0.48, 0.48, 0.49),
    "turquoise": (0.15, 0.70, 0.68),
    "beige": (0.82, 0.72, 0.56),
}

MAX_OBJ_BYTES = 2_000_000
# Catalogue names holding one of these are left out: people, parts of buildings, flat or hanging things.
SKIP = re.compile(
    r"male|boy|girl|mannequin|door|window|plug|switch|socket|wall|parking|arrow|crossing|elevator|escalator|\brail|"
    r"bill |stairs|staircase|column|shutter|blind|sidewalk|rug|mat\b|carpet|hanging|ceiling|track|fluorescent|pool|"
    r"curtain|newspaper|remote|headphone|fork lift|clothes horse|toilet brush|toilet paper|device|abdominal|cutlery|"
    r"calendar|poster|frame|card|hook|rack|board|railing|suspended|detector|intercom|tatami|pendant",
    re.IGNORECASE,
)
# "pattern" or "pattern=noun"; the first match names the model, and one that nothing matches is left out, so that
# the captions' vocabulary stays closed.
NOUNS = r"""
hot dog=hot dog; armchair; wheelchair; wheelbarrow; rocking horse=rocking horse; horse; deer; rabbit;
chicken\b=chicken; dog house=dog house; dog; bulldog=dog; cat\b=cat; teddy=teddy bear; toy train=train; car
model=car; doll house=doll house; snowman; flower box=flowers; christmas=christmas tree; palm=palm tree;
coconut=palm tree; bonsai=tree; maple=tree; pine=tree; cypress=tree; poplar=tree; acacia=tree; beech=tree;
peach=tree; ficus=plant; yucca=plant; bamboo=plant; cactus; plant; orchid=flowers; tulip=flowers; lily=flowers;
flowers; spathiphyllum=plant; bush; hedge=bush; desk lamp=lamp; lamppost=street lamp; street=street lamp; park
light=street lamp; lantern; lamp; chair; seat=chair; couch=sofa; sofa; futon=sofa; stool; bench; puff=stool; bed
side=table; bedside=table; table; desk; bookcase; wardrobe; cabinet; dresser=cabinet; cupboard=cabinet; shelves;
vanity=cabinet; chest; crib=bed; \bbed=bed; bunk=bed; bathtub; \bbath\b=bathtub; sink; basin=sink; lavatory=sink;
toilet; bidet; piano; guitar; xylophone; radio=radio; speaker; stereo=radio; boombox=radio; television=television;
\btv\b=television; laptop; ibook=laptop; keyboard; computer; imac=computer; camera; phone; printer;
fridge=refrigerator; refrigerator; freezer=refrigerator; washing=washing machine; dryer=washing machine; microwave;
oven; stove; cooker=stove; toaster; blender=mixer; mixer; coffee m=coffee machine; coffee b=coffee machine; teapot;
kettle; press=coffee machine; mug=cup; cup cake=cake; cake; cup; glass\b=glass; wine bottle=bottle; bottle; vase;
pottery=vase; jar; bowl; plate; pan\b=pan; knife; fork\b=fork; spoon; bread box=box; bread; hamburger; steak; sushi;
butter; milk; fruit=fruit; apples=apples; salt=salt shaker; basket\b=basket; basketball=ball; soccer=ball;
punching=ball; tricycle; bicycle; bike; scooter; motor=motorbike; yamaha=motorbike; bus\b=bus; truck; van\b=van;
suv=car; sedan=car; beetle=car; focus=car; renault=car; peugeot=car; chevrolet=car; smart=car; leon=car; forklift;
biplane=airplane; boat; skateboard; helmet; hat\b=hat; cap\b=hat; shoe=shoes; sneaker=shoes; mocassin=shoes;
slipper=shoes; bootie=shoes; glove; bag\b=bag; backpack; suitcase; briefcase=suitcase; trunck=suitcase; clock;
watch\b=watch; glasses; book\b=book; candle; barrel; crate=crate; pallet; box; gift=present; mailbox;
letters=mailbox; hydrant=fire hydrant; trash=trash can; dustbin=trash can; recycling=trash can; tent\b=tent;
hut=hut; swing; seesaw; umbrella; fountain; rock; hammer; drill; shovel; saw\b=saw; screwdriver; broom; brush;
pencil; scissors; ladder; cone; fan\b=fan; heater; fireplace; chimney=fireplace; safe\b=safe; rubik=cube; puzzle;
joystick; racket=racket; trampoline; hammock; mower; grill=grill; barbecue=grill; extinguisher=fire extinguisher;
flashlight; aquarium; treadmill
"""


def noun_patterns(table: str) -> list[tuple[re.Pattern[str], str]]:
    """The compiled patterns and nouns of a table written like NOUNS."""
    rows = [entry.strip().partition("=") for entry in table.replace("\n", " ").split(";")]
    return [(re.compile(pattern, re.IGNORECASE), noun or pattern.replace(r"\b", "")) for pattern, _, noun in rows]


NOUN_PATTERNS = noun_patterns(NOUNS)


@dataclass(frozen=True)
class Surface:
    """How a part looks: a kind known to `render_scenes.bsdf`, and an sRGB colour or texture (H, W, 3) uint8."""

    kind: str = "plastic"
    colour: tuple[float, float, float] = (0.5, 0.5, 0.5)
    texture: np.ndarray | None = None


@dataclass(frozen=True)
class Thing:
    """An object standing on z = 0: its parts, the words that name it, and whom to credit."""

    words: str
    parts: list[tuple[Mesh, Surface]]
    source: str = "primitives"

    def moved(self, matrix: np.ndarray | None = None, offset: tuple = (0, 0, 0)) -> Thing:
        """The thing with every part moved, see `Mesh.moved`."""
        return Thing(self.words, [(mesh.moved(matrix, offset), surface) for mesh, surface in self.parts], self.source)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and highest corner (3,) of the bounding box."""
        points = np.concatenate([mesh.vertices for mesh, _ in self.parts])
        return points.min(axis=0), points.max(axis=0)

    def normalised(self) -> Thing:
        """The thing centred over the origin, standing on z = 0, its longest side 1."""
        low, high = self.bounds()
        scale = 1 / max(float((high - low).max()), 1e-9)
        middle = (low + high) / 2
        return self.moved(np.eye(3) * scale, -scale * np.array([middle[0], middle[1], low[2]]))


def colour_word(colour: np.ndarray | tuple) -> str:
    """The name in COLOURS nearest to an sRGB colour, by hue for vivid colours and by value for greys."""
    rgb = np.clip(np.asarray(colour, dtype=float), 0, 1)
    value, chroma = rgb.max(), rgb.max() - rgb.min()
    if chroma < 0.12 or chroma < 0.18 * value:
        return "black" if value < 0.22 else "grey" if value < 0.66 else "white"
    hue = np.degrees(np.arctan2(np.sqrt(3) * (rgb[1] - rgb[2]), 2 * rgb[0] - rgb[1] - rgb[2]))
    if 5 < hue < 60 and chroma < 0.6 * value:  # the browns of wood, leather and cardboard
        return "beige" if value > 0.7 else "brown"
    names = [name for name in COLOURS if name not in ("black", "white", "grey", "beige")]
    distances = [np.linalg.norm((rgb - COLOURS[name]) * [1.0, 1.2, 0.9]) for name in names]
    return names[int(np.argmin(distances))]


def dominant_colour(parts: list[tuple[Mesh, Surface]]) -> str | None:
    """The colour word that covers at least 60 % of the area, or None."""
    areas: dict[str, float] = {}
    for mesh, surface in parts:
        word = colour_word(surface.colour)
        areas[word] = areas.get(word, 0.0) + mesh.area()
    word = max(areas, key=areas.get)
    return word if areas[word] >= 0.6 * sum(areas.values()) else None


class Furniture:
    """The usable models in a folder of Sweet Home 3D furniture libraries (.sh3f, zip files)."""

    def __init__(self, folder: Path) -> None:
        self.archives = {path.stem: zipfile.ZipFile(path) for path in sorted(folder.glob("*.sh3f"))}
        self.entries: list[tuple[str, str, dict[str, str]]] = []  # (archive, noun, catalogue fields)
        for name, archive in self.archives.items():
            fields: dict[str, dict[str, str]] = {}
            for line in archive.read("PluginFurnitureCatalog.properties").decode("latin-1").splitlines():
                match = re.match(r"(\w+)#(\d+)=(.*)", line)
                if match:
                    fields.setdefault(match[2], {})[match[1]] = match[3].strip()
            for entry in fields.values():
                noun = noun_of(entry.get("name", ""))
                path = entry.get("model", "").lstrip("/")
                if noun and path.endswith(".obj") and archive.getinfo(path).file_size <= MAX_OBJ_BYTES:
                    self.entries.append((name, noun, entry))

    def load(self, index: int) -> Thing:
        """Load one model, normalised. Raises ValueError, KeyError or OSError for a broken one."""
        name, noun, entry = self.entries[index]
        archive, path = self.archives[name], PurePosixPath(entry["model"].lstrip("/"))
        text = archive.read(str(path)).decode("latin-1")
        library = re.search(r"^mtllib\s+(.+?)\s*$", text, re.MULTILINE)
        materials = read_mtl(archive, path.parent, library[1]) if library else {}
        # The catalogue's rotation and size apply in the file's own y-up axes; afterwards z is up.
        matrix = np.array([float(x) for x in entry.get("modelRotation", "1 0 0 0 1 0 0 0 1").split()]).reshape(3, 3)
        parts = [(mesh.moved(matrix), materials.get(key, Surface())) for key, mesh in parse_obj(text).items()]
        parts = [(mesh, surface) for mesh, surface in parts if surface.kind != "invisible" and len(mesh.faces)]
        if not parts:
            raise ValueError(f"expected faces in {path}, got none")
        low, high = Thing(noun, parts).bounds()
        size = np.array([float(entry[key]) for key in ("width", "height", "depth")])
        scale = size / np.maximum(high - low, 1e-6)
        to_z_up = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]) @ np.diag(scale)
        parts = [(mesh.moved(to_z_up), surface) for mesh, surface in parts]
        source = f"{name}: {entry['name']} by {entry.get('creator', 'unknown')}"
        return Thing(noun, parts, source).normalised()


def noun_of(name: str) -> str | None:
    """The short noun for a catalogue name, or None when the model is to be left out."""
    if SKIP.search(name):
        return None
    return next((noun for pattern, noun in NOUN_PATTERNS if pattern.search(name)), None)


def read_mtl(archive: zipfile.ZipFile, folder: PurePosixPath, name: str) -> dict[str, Surface]:
    """Surfaces by material name from an MTL file: Kd, map_Kd and opacity only."""
    try:
        text = archive.read(str(folder / name)).decode("latin-1")
    except KeyError:
        return {}
    surfaces = {}
    for block in re.split(r"^\s*newmtl\s+", text, flags=re.MULTILINE)[1:]:
        lines = block.splitlines()
        values = {words[0]: words[1:] for words in (line.split() for line in lines[1:]) if words}
        colour = tuple(float(x) for x in values.get("Kd", ["0.7"] * 3)[:3])
        opacity = float(values["d"][-1]) if "d" in values else 1.0
        shine = float(values.get("Ns", ["0"])[0])
        texture = None
        if "map_Kd" in values:
            try:
                data = archive.read(str(folder / " ".join(values["map_Kd"]).replace("\\", "/")))
                image = Image.open(io.BytesIO(data)).convert("RGB")
                image.thumbnail((512, 512))
                texture = np.asarray(image)
                colour = tuple(texture.reshape(-1, 3).mean(axis=0) / 255)
            except (KeyError, OSError):
                texture = None
        kind = "invisible" if opacity < 0.08 else "glass" if opacity < 0.7 else "plastic" if shine > 60 else "matte"
        surfaces[lines[0].strip()] = Surface(kind, colour, texture)
    return surfaces


def jittered(name: str, rng: np.random.Generator) -> tuple[float, float, float]:
    """The named colour, a little off."""
    return tuple(np.clip(np.array(COLOURS[name]) * rng.uniform(0.85, 1.1) + rng.uniform(-0.03, 0.03, 3), 0.02, 0.98))


SOLIDS = {
    "ball": lambda rng: ball(0.5),
    "cube": lambda rng: box(),
    "cylinder": lambda rng: cylinder(0.36, rng.uniform(0.6, 1.0)),
    "cone": lambda rng: cylinder(0.45, 1.0, 0.0),
    "ring": lambda rng: ring(0.36, rng.uniform(0.1, 0.15)),
    "egg": lambda rng: ball(0.38, 1.3),
    "pyramid": lambda rng: lathe([(0, 0), (0.6, 0), (0, 0.8)], 4),
    "block": lambda rng: box(1.0, 0.5, rng.uniform(0.25, 0.5)),
    "vase": lambda rng: smooth([0.2, 0.38, 0.4 * rng.uniform(0.8, 1.1), 0.2, 0.15, 0.24], 1.0, 0.13),
    "bottle": lambda rng: smooth([0.2, 0.21, 0.21, 0.2, 0.07, 0.07], 1.0, 0.05),
    "bowl": lambda rng: smooth([0.18, 0.38, 0.48, 0.52], 0.36, 0.47),
    "cup": lambda rng: smooth([0.26, 0.3, 0.32, 0.33], 0.62, 0.29),
    "bell": lambda rng: smooth([0.5, 0.4, 0.3, 0.24, 0.06], 0.8, 0.0),
    "spinning top": lambda rng: smooth([0.02, 0.3, 0.48, 0.2, 0.06, 0.06], 0.9, 0.0),
    "pawn": lambda rng: lathe(
        [(0, 0), (0.3, 0), (0.3, 0.1), (0.18, 0.2), (0.1, 0.6), (0.18, 0.64), (0.08, 0.68)]
        + [(0.18 * np.cos(a), 0.82 + 0.18 * np.sin(a)) for a in np.linspace(-1, 1.57, 12)]
    ),
}


def smooth(radii: list[float], height: float, inner: float) -> Mesh:
    """A vessel through evenly spaced radii, open at the top and hollow to a depth when `inner` > 0."""
    z = np.linspace(0, height, 33)
    curve = np.polynomial.Polynomial.fit(np.linspace(0, height, len(radii)), radii, len(radii) - 1)
    outside = np.column_stack([np.maximum(curve(z), 0.01), z])
    inside = [(max(outside[-1, 0] - 0.03, 0.005), height), (max(inner, 0.005), 0.1 * height), (0, 0.1 * height)]
    return lathe(np.concatenate([[(0, 0)], outside, inside if inner else [(0, height)]]))
