"""ICC profiles, written by hand: three primaries and a curve, a grey curve, and inks in a table.

The layout is that of ICC.1:2022 (versions 2 and 4), https://www.color.org/specification/ICC.1-2022-05.pdf.
"""

import struct
from collections.abc import Sequence

import numpy as np

D50 = (0.9642, 1.0, 0.8249)
# Chromaticities x, y of red, green, blue and white (D65).
D65 = (0.3127, 0.3290)
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)
DISPLAY_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65)
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65)
ADOBE_GAMMA = 563 / 256
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)

Primaries = Sequence[tuple[float, float]]


def xyz_of(chromaticity: tuple[float, float]) -> np.ndarray:
    x, y = chromaticity
    return np.array([x / y, 1, (1 - x - y) / y])


def to_xyz(primaries: Primaries) -> np.ndarray:
    """Return the matrix (3, 3) from linear RGB to XYZ under the own white."""
    *colors, white = primaries
    columns = np.stack([xyz_of(color) for color in colors], axis=1)
    return columns * np.linalg.solve(columns, xyz_of(white))


def rgb(primaries: Primaries, *, gamma: float | None = None) -> bytes:
    """Return a profile of RGB; without a gamma it has the curve of sRGB."""
    adapted = BRADFORD @ xyz_of(primaries[3])
    to_d50 = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ np.array(D50) / adapted) @ BRADFORD
    columns = (to_d50 @ to_xyz(primaries)).T
    curve = _srgb_curve() if gamma is None else _gamma_curve(gamma)
    colors = {f"{name}XYZ": _xyz(column) for name, column in zip("rgb", columns, strict=True)}
    return _profile("RGB ", "XYZ ", colors | dict.fromkeys(("rTRC", "gTRC", "bTRC"), curve))


def grey(gamma: float) -> bytes:
    """Return a profile of grey."""
    return _profile("GRAY", "XYZ ", {"kTRC": _gamma_curve(gamma)})


def cmyk(lab: np.ndarray) -> bytes:
    """Return a profile of inks: the color of each of the 16 ways to print all or nothing of four.

    Args:
        lab: (2, 2, 2, 2, 3), of cyan, magenta, yellow, black: L 0..100, a and b -128..127.
    """
    scaled = np.stack([lab[..., 0] * 255 / 100, lab[..., 1] + 128, lab[..., 2] + 128], axis=-1)
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(65536 * np.eye(3, dtype=int)).ravel().tolist())
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity
    table += 4 * ramp + scaled.round().astype(np.uint8).tobytes() + 3 * ramp
    return _profile("CMYK", "Lab ", {"A2B0": table, "A2B1": table}, device="prtr", version=2)


def _xyz(values: Sequence[float] | np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def _gamma_curve(gamma: float) -> bytes:
    return b"para" + bytes(4) + struct.pack(">HHi", 0, 0, round(gamma * 65536))


def _srgb_curve() -> bytes:
    values = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return b"para" + bytes(4) + struct.pack(">HH5i", 3, 0, *(round(v * 65536) for v in values))


def _profile(
    space: str, connection: str, tags: dict[str, bytes], *, device: str = "mntr", version: int = 4
) -> bytes:
    texts = {"desc": _text("made by hand", version), "cprt": _text("none", version)}
    tags = texts | {"wtpt": _xyz(D50)} | tags
    at, index, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        index += name.encode() + struct.pack(">II", at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4s", at + len(body), b"")
    head += struct.pack(">B3x4s4s4s12s4s", version, device.encode(), space.encode(),
                        connection.encode(), bytes(12), b"acsp")  # fmt: skip
    head += bytes(68 - len(head)) + struct.pack(">3i", *(round(v * 65536) for v in D50))
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + index + body


def _text(text: str, version: int) -> bytes:
    if version == 2:
        return b"text" + bytes(4) + text.encode() + b"\0"
    wide = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(wide), 28) + wide
