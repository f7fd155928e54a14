"""Build the training pictures of the embedded model from Debian packages.

    python -m recipe.data --packages DEB_DIR --out DATA_DIR

`DEB_DIR` holds the `.deb` files named in `PACKAGES` (``apt-get download NAME``). Every picture is matched against
the package's own machine-readable copyright file and kept only if the paragraph that covers it names a licence of
`ALLOWED`: public domain, CC0, CC BY or CC BY-SA. Those fit together, and the trained weights can be offered under
CC BY-SA 4.0. Pictures with people in them are left out by name (`LEFT_OUT`): a tool about consent must not learn
from people who were not asked.

Output: `DATA_DIR/pictures/*.png` (shorter side at most 288 px), `DATA_DIR/pictures.jsonl` (caption, kind, author,
licence, source of each) and `DATA_DIR/ATTRIBUTION.md`. The pictures are never committed; the attribution list is.
"""

from __future__ import annotations

import argparse
import fnmatch
import io
import json
import re
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

PACKAGES = (
    "endless-sky-high-dpi",
    "gcompris-qt-data",
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "pysiogame",
)
ALLOWED = re.compile(r"^(public[- ]domain|PD|CC0|CC-BY(-SA)?-\d)", re.IGNORECASE)
STORED_SIDE = 288

# What stands in the pictures of endless-sky, by file-name prefix (looked at, picture by picture).
LANDSCAPES = {
    "badlands": "badlands with red rocks",
    "beach": "a beach by the sea",
    "bwerner": "a mountain lake",
    "canyon": "a canyon with red rocks",
    "city": "a city with buildings",
    "desert": "a desert with sand",
    "dmottl": "snowy mountains",
    "dune": "a desert with sand dunes",
    "fields": "green fields",
    "fog": "fog over hills",
    "forest": "a forest with trees",
    "hills": "green hills",
    "industrial": "a factory",
    "lava": "lava and dark rocks",
    "mfield": "a mountain and sky",
    "mountain": "mountains",
    "myrabella": "a rocky landscape",
    "sea": "the sea",
    "sky": "the sky with clouds",
    "snow": "snow and ice",
    "valley": "a green valley",
    "water": "water and trees",
}
LEFT_OUT = (
    "*/jobs/*", "*/people/*", "*/body/*", "*/actions/*", "*/sport/*",
)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """One training picture: file name in `pictures/`, caption, kind (photo or drawing), and where it comes from."""

    file: str
    caption: str
    kind: str
    author: str
    licence: str
    source: str


@dataclass(frozen=True)
class Paragraph:
    """One `Files:` paragraph of a DEP-5 copyright file."""

    patterns: tuple[str, ...]
    author: str
    licence: str


def read_copyright(text: str) -> list[Paragraph]:
    """The `Files:` paragraphs of a machine-readable Debian copyright file, in order."""
    paragraphs = []
    for block in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in block.splitlines():
            if line[:1] in " \t" and key:
                fields[key] += "\n" + line.strip()
            elif ":" in line:
                key, value = line.split(":", 1)
                fields[key] = value.strip()
        if "Files" in fields:
            paragraphs.append(
                Paragraph(
                    tuple(fields["Files"].split()),
                    " ".join(fields.get("Copyright", "").split()),
                    fields.get("License", "").split("\n")[0].strip(),
                )
            )
    return paragraphs


def licence_of(path: str, paragraphs: list[Paragraph]) -> Paragraph | None:
    """The last paragraph that covers `path` (DEP-5: the last match wins); extensions are ignored because packages
    convert jpg and png to webp after the copyright file was written."""
    found = None
    stem = re.sub(r"\.\w+$", "", path)
    for paragraph in paragraphs:
        for pattern in paragraph.patterns:
            if fnmatch.fnmatch(path, pattern) or fnmatch.fnmatch(stem, re.sub(r"\.\w+$", "", pattern)):
                found = paragraph
    return found


def read_rcc(blob: bytes) -> dict[str, bytes]:
    """The files of a Qt binary resource (`qres` magic): path -> contents. Entries are plain or zlib-compressed."""
    magic, version, tree, data, names = struct.unpack(">4sIIII", blob[:20])
    if magic != b"qres":
        raise ValueError(f"expected a Qt resource starting with b'qres', got {magic!r}")
    record = 22 if version >= 2 else 14
    files: dict[str, bytes] = {}

    def name(offset: int) -> str:
        (length,) = struct.unpack(">H", blob[names + offset : names + offset + 2])
        start = names + offset + 6
        return blob[start : start + 2 * length].decode("utf-16-be")

    def walk(index: int, prefix: str) -> None:
        at = tree + index * record
        name_offset, flags = struct.unpack(">IH", blob[at : at + 6])
        path = f"{prefix}/{name(name_offset)}" if index else ""
        if flags & 2:
            count, first = struct.unpack(">II", blob[at + 6 : at + 14])
            for child in range(first, first + count):
                walk(child, path)
            return
        (offset,) = struct.unpack(">I", blob[at + 10 : at + 14])
        (length,) = struct.unpack(">I", blob[data + offset : data + offset + 4])
        body = blob[data + offset + 4 : data + offset + 4 + length]
        files[path] = zlib.decompress(body[4:]) if flags & 1 else body

    walk(0, "")
    return files


def _landscapes(root: Path) -> Iterator[tuple[str, bytes, str, str]]:
    for path in sorted(root.glob("**/images/land/*.jpg")):
        prefix = re.match(r"[a-z]+", path.name).group()
        if prefix in LANDSCAPES:
            yield f"images/land/{path.name}", path.read_bytes(), f"a photo of {LANDSCAPES[prefix]}", "photo"


def _gcompris(root: Path) -> Iterator[tuple[str, bytes, str, str]]:
    for package in sorted(root.glob("**/*.rcc")):
        if package.stem == "lang":  # the same art4apps cartoons that pysiogame has, people among them
            continue
        for inner, body in sorted(read_rcc(package.read_bytes()).items()):
            path = inner.removeprefix("/gcompris/")
            if not path.endswith((".webp", ".jpg", ".png")) or "/resource/" not in path:
                continue
            words = re.sub(r"([a-z])([A-Z])", r"\1 \2", Path(path).stem)
            words = re.sub(r"[\d_]+", " ", words).strip().lower()
            yield path, body, f"a photo of a {words}", "photo"


def _wallpapers(root: Path) -> Iterator[tuple[str, bytes, str, str]]:
    release = next(root.glob("usr/share/doc/*")).name.rsplit("-", 1)[-1]
    for path in sorted(root.glob("**/backgrounds/*.jpg")):
        words = path.name.split("_by_")[0].replace("_", " ").replace("-", " ").lower()
        yield f"{release}/{path.name}", path.read_bytes(), f"a photo of {words}", "photo"


def _cartoons(root: Path) -> Iterator[tuple[str, bytes, str, str]]:
    for path in sorted(root.glob("**/art4apps/**/*.jpg")):
        words = path.stem.replace("_", " ").lower()
        yield f"art4apps/{path.parent.name}/{path.name}", path.read_bytes(), f"a drawing of a {words}", "drawing"


READERS = {
    "endless-sky-high-dpi": _landscapes,
    "gcompris-qt-data": _gcompris,
    "lomiri-wallpapers-16.04": _wallpapers,
    "lomiri-wallpapers-20.04": _wallpapers,
    "pysiogame": _cartoons,
}


def collect(package: str, root: Path) -> Iterator[tuple[Picture, Image.Image]]:
    """The usable pictures of one unpacked package, with their licences."""
    copyright_text = next(root.glob("usr/share/doc/*/copyright")).read_text(encoding="utf-8")
    paragraphs = read_copyright(copyright_text)
    for number, (path, body, caption, kind) in enumerate(READERS[package](root)):
        if any(fnmatch.fnmatch(path, pattern) for pattern in LEFT_OUT):
            continue
        if package == "pysiogame":
            # Its copyright file says public domain, another packager of the same project says CC BY-SA 3.0:
            # we honour the stricter of the two.
            paragraph = Paragraph((), "art4apps", "CC-BY-SA-3.0")
        else:
            paragraph = licence_of(path, paragraphs)
        if paragraph is None or not ALLOWED.match(paragraph.licence) or paragraph.patterns == ("*",):
            continue
        image = Image.open(io.BytesIO(body))
        if image.mode in ("RGBA", "LA", "P"):
            rgba = image.convert("RGBA")
            image = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
            image.alpha_composite(rgba)
        image = image.convert("RGB")
        if min(image.size) < 128:
            continue
        scale = min(1.0, STORED_SIDE / min(image.size))
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
        yield (
            Picture(f"{package}-{number:04d}.png", caption, kind, paragraph.author, paragraph.licence,
                    f"{package}: {path}"),
            image,
        )  # fmt: skip


def main() -> None:
    """Unpack, filter, resize, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True, help="folder with the .deb files")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    (options.out / "pictures").mkdir(parents=True, exist_ok=True)
    kept: list[Picture] = []
    for package in PACKAGES:
        debs = sorted(options.packages.glob(f"{package}_*.deb"))
        if not debs:
            raise SystemExit(f"expected {package}_*.deb in {options.packages}, got none: apt-get download {package}")
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["dpkg-deb", "-x", debs[-1], folder], check=True)
            found = 0
            for picture, image in collect(package, Path(folder)):
                image.save(options.out / "pictures" / picture.file)
                kept.append(picture)
                found += 1
        print(f"{package}: {found} pictures")
    (options.out / "pictures.jsonl").write_text("".join(json.dumps(asdict(p)) + "\n" for p in kept))
    lines = [f"- {p.source} — {p.author or 'author not named'} — {p.licence}" for p in kept]
    (options.out / "ATTRIBUTION.md").write_text(
        "# Pictures the embedded model was trained on\n\nFrom Debian's archive, by package and file.\n\n"
        + "\n".join(lines) + "\n"
    )  # fmt: skip


if __name__ == "__main__":
    main()
