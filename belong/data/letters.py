"""Draw letters, white on black, from the fonts of matplotlib: near anomalies of digits.

They are prepared like the digits of MNIST (LeCun et al., 1998): fitted into a box of 20 of 28
pixels, with their center of mass at the center of the image. The fonts are the twelve faces of
DejaVu. With the same versions of matplotlib and Pillow, the bytes are the same on every machine.

Letters that may look like a digit are excluded: O o D Q (0), I i J j l (1), Z z (2), Y y (4), S s
(5), G b (6), T (7), B (8), g q (9).
"""

import math
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

LETTERS = "ACEFHKLMNPRUVWXacdefhkmnprtuvwx"
FACES = tuple(
    f"DejaVu{family}{style}.ttf"
    for family, slanted in (("Sans", "Oblique"), ("SansMono", "Oblique"), ("Serif", "Italic"))
    for style in ("", "-Bold", f"-{slanted}", f"-Bold{slanted}")
)
TURN = math.radians(15)  # maximum rotation in each direction
SHEAR = 0.3  # maximum shear in each direction
BOX = 20 / 28  # side of the box, as a share of the side of the image
CANVAS_PX, FONT_PX = 128, 72  # letters are drawn large, and then reduced


def letters(count: int, side_px: int, rng: np.random.Generator) -> np.ndarray:
    """Draw letters: (count, side, side) uint8.

    Args:
        count: number of images.
        side_px: height and width of each image.
        rng: draws the letter, font, rotation and shear of each image.
    """
    images = np.empty((count, side_px, side_px), np.uint8)
    for image in images:
        letter, face = rng.choice(list(LETTERS)), FACES[rng.integers(len(FACES))]
        turn, shear = rng.uniform(-TURN, TURN), rng.uniform(-SHEAR, SHEAR)
        image[:] = _in_box(_draw(str(letter), face, float(turn), float(shear)), side_px)
    return images


def _draw(letter: str, face: str, turn: float, shear: float) -> Image.Image:
    """Return a rotated and sheared letter, cropped to its bounding box."""
    canvas = Image.new("L", (CANVAS_PX, CANVAS_PX))
    center = CANVAS_PX / 2
    ImageDraw.Draw(canvas).text((center, center), letter, fill=255, font=_font(face), anchor="mm")
    # Six decimals, as the last bits of a cosine depend on the processor.
    cos, sin = round(math.cos(turn), 6), round(math.sin(turn), 6)
    a, b, d, e = cos + shear * sin, shear * cos - sin, sin, cos
    coefficients = (a, b, center - a * center - b * center, d, e, center - d * center - e * center)
    turned = canvas.transform(
        canvas.size, Image.Transform.AFFINE, coefficients, resample=Image.Resampling.BILINEAR
    )
    return turned.crop(turned.getbbox())


def _in_box(letter: Image.Image, side_px: int) -> np.ndarray:
    """Fit a letter into the box, with its center of mass at the center: (side, side) uint8."""
    box = round(BOX * side_px)
    scale = box / max(letter.size)
    width, height = (max(1, round(scale * length)) for length in letter.size)
    pixels = np.asarray(letter.resize((width, height), Image.Resampling.BICUBIC))
    mass = pixels.sum(dtype=np.int64)
    y, x = (
        round(
            min(
                max(side_px / 2 - (pixels.sum(axis=1 - axis) @ places + mass / 2) / mass, 0),
                side_px - length,
            )
        )
        for axis, length in enumerate(pixels.shape)
        for places in [np.arange(length)]
    )
    image = np.zeros((side_px, side_px), np.uint8)
    image[y : y + height, x : x + width] = pixels
    return image


@cache
def _font(face: str) -> ImageFont.FreeTypeFont:
    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / face
    # The basic layout engine, as not every build of Pillow has the other one.
    return ImageFont.truetype(path, FONT_PX, layout_engine=ImageFont.Layout.BASIC)
