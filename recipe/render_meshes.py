"""Triangle meshes for the training renders: lathed primitives, boxes, binary PLY files and OBJ parsing.

Everything is numpy; a mesh is z-up, and its units are the scene's (an object is about 1 unit tall).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

SHARP_CORNER_COSINE = 0.75  # profile corners bent by more than about 41 degrees keep a hard edge


@dataclass(frozen=True)
class Mesh:
    """Vertices (V, 3), texture coordinates (V, 2), triangles (F, 3) and normals (V, 3), or None for flat faces."""

    vertices: np.ndarray
    uvs: np.ndarray
    faces: np.ndarray
    normals: np.ndarray | None = None

    def moved(self, matrix: np.ndarray | None = None, offset: tuple | np.ndarray = (0, 0, 0)) -> Mesh:
        """The mesh under `vertices @ matrix.T + offset`; normals follow the inverse transpose."""
        matrix = np.eye(3) if matrix is None else np.asarray(matrix, dtype=float)
        normals = self.normals
        if normals is not None:
            normals = normals @ np.linalg.inv(matrix)
            normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        faces = self.faces if np.linalg.det(matrix) > 0 else self.faces[:, ::-1]
        return Mesh(self.vertices @ matrix.T + np.asarray(offset, dtype=float), self.uvs, faces, normals)

    def area(self) -> float:
        """Total triangle area in square units."""
        a, b, c = (self.vertices[self.faces[:, i]] for i in range(3))
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def rotation(axis: str, degrees: float) -> np.ndarray:
    """Right-handed rotation matrix (3, 3) about the axis "x", "y" or "z"."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return matrix


def lathe(profile: list[tuple[float, float]] | np.ndarray, segments: int = 40) -> Mesh:
    """Turn a profile of (radius, z) points around the z axis; smooth but for sharp corners of the profile.

    Walk the profile upwards on the outside (radius to the right of z) so that normals point outwards.
    """
    points = np.asarray(profile, dtype=float)
    steps = np.diff(points, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    flat = np.stack([steps[:, 1], -steps[:, 0]], axis=1) / np.maximum(lengths, 1e-9)[:, None]  # outward, per segment
    along = np.concatenate([[0.0], np.cumsum(lengths)]) / max(lengths.sum(), 1e-9)
    angles = np.linspace(0, 2 * np.pi, segments + 1)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    vertices, normals, uvs, faces = [], [], [], []
    for k in range(len(steps)):
        for end in (k, k + 1):
            normal, other = flat[k], k - 1 if end == k else k + 1
            if 0 <= other < len(steps) and flat[k] @ flat[other] > SHARP_CORNER_COSINE:
                normal = (flat[k] + flat[other]) / np.linalg.norm(flat[k] + flat[other])
            radius, height = points[end]
            vertices.append(np.column_stack([circle * radius, np.full(segments + 1, height)]))
            normals.append(np.column_stack([circle * normal[0], np.full(segments + 1, normal[1])]))
            uvs.append(np.column_stack([angles / (2 * np.pi), np.full(segments + 1, along[end])]))
        low = 2 * k * (segments + 1) + np.arange(segments)
        high = low + segments + 1
        faces += [np.column_stack([low, low + 1, high + 1]), np.column_stack([low, high + 1, high])]
    return Mesh(np.concatenate(vertices), np.concatenate(uvs), np.concatenate(faces), np.concatenate(normals))


def ball(radius: float = 0.5, squash: float = 1.0) -> Mesh:
    """A sphere resting on z = 0, its height scaled by `squash`."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, 25)
    return lathe(np.column_stack([radius * np.cos(angles), radius * squash * (1 + np.sin(angles))]))


def cylinder(radius: float = 0.4, height: float = 1.0, top: float | None = None) -> Mesh:
    """A closed cylinder on z = 0; `top` is the upper radius (a cone or a cup shape)."""
    top = radius if top is None else top
    return lathe([(0, 0), (radius, 0), (top, height), (0, height)])


def ring(radius: float = 0.4, tube: float = 0.14, segments: int = 28) -> Mesh:
    """A torus lying on z = 0."""
    angles = np.linspace(-np.pi, np.pi, segments + 1)
    return lathe(np.column_stack([radius + tube * np.cos(angles), tube * (1 + np.sin(angles))]))


def box(width: float = 1.0, depth: float = 1.0, height: float = 1.0) -> Mesh:
    """A box centred over the origin and standing on z = 0; every side has texture coordinates of its own."""
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    vertices, normals, uvs, faces = [], [], [], []
    for axis in range(3):
        for sign in (-1, 1):
            corners = np.zeros((4, 3))
            corners[:, (axis + 1) % 3], corners[:, (axis + 2) % 3] = square[:, 0] * sign, square[:, 1]
            corners[:, axis] = sign / 2
            normal = np.zeros(3)
            normal[axis] = sign
            faces.append(np.array([[0, 1, 2], [0, 2, 3]]) + 4 * len(vertices))
            vertices.append((corners + [0, 0, 0.5]) * [width, depth, height])
            normals.append(np.tile(normal, (4, 1)))
            uvs.append(square + 0.5)
    return Mesh(np.concatenate(vertices), np.concatenate(uvs), np.concatenate(faces), np.concatenate(normals))


def write_ply(mesh: Mesh, path: Path) -> None:
    """Write the mesh as a little-endian binary PLY file."""
    names = ["x", "y", "z", "u", "v"] + (["nx", "ny", "nz"] if mesh.normals is not None else [])
    columns = [mesh.vertices, mesh.uvs] + ([mesh.normals] if mesh.normals is not None else [])
    faces = np.zeros(len(mesh.faces), dtype=[("count", "u1"), ("index", "<i4", (3,))])
    faces["count"], faces["index"] = 3, mesh.faces
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(mesh.vertices)}"]
    header += [f"property float {name}" for name in names]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header\n"]
    path.write_bytes("\n".join(header).encode() + np.hstack(columns).astype("<f4").tobytes() + faces.tobytes())


def parse_obj(text: str) -> dict[str, Mesh]:
    """Split the text of a Wavefront OBJ file into one mesh a material name, with polygons cut into triangle fans."""
    tables: dict[str, list] = {"v": [], "vt": [], "vn": []}
    corners: dict[str, dict[str, int]] = {}
    faces: dict[str, list] = {}
    material = ""
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] in tables:
            tables[words[0]].append([float(word) for word in words[1:4]])
        elif words[0] == "usemtl":
            material = " ".join(words[1:])
        elif words[0] == "f":
            seen = corners.setdefault(material, {})
            ids = [seen.setdefault(word, len(seen)) for word in words[1:]]
            faces.setdefault(material, []).extend((ids[0], ids[i], ids[i + 1]) for i in range(1, len(ids) - 1))
    positions, textures, normals = (
        np.array([row[:n] for row in tables[key]], dtype=float).reshape(-1, n)
        for key, n in (("v", 3), ("vt", 2), ("vn", 3))
    )
    meshes = {}
    for name, triangles in faces.items():
        index = np.array(
            [[int(part) if part else 0 for part in (word.split("/") + ["", ""])[:3]] for word in corners[name]]
        )
        for column, table in enumerate((positions, textures, normals)):  # OBJ counts from 1; negative from the end
            index[:, column] = np.where(index[:, column] < 0, index[:, column] + len(table), index[:, column] - 1)
        uvs = np.zeros((len(index), 2))
        if len(textures):
            uvs = textures[np.clip(index[:, 1], 0, len(textures) - 1)] * (index[:, 1:2] >= 0)
        smooth = len(normals) > 0 and bool((index[:, 2] >= 0).all())
        meshes[name] = Mesh(positions[index[:, 0]], uvs, np.array(triangles), normals[index[:, 2]] if smooth else None)
    return meshes
