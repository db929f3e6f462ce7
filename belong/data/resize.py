"""Define the form of all images of a run: height, width, gray or color; and resize to it."""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from PIL import Image, ImageOps

from belong.runtime.progress import bar

# auto: "grey" if all images are gray, which is detected by decoding them.
Color = Literal["auto", "grey", "rgb"]


@dataclass(frozen=True)
class Form:
    """Height and width in pixels, and the color."""

    height: int
    width: int
    color: Color

    @property
    def channels(self) -> int:
        """1 or 3; 3 for auto, until the color is known."""
        return 1 if self.color == "grey" else 3

    @classmethod
    def of(cls, images: np.ndarray) -> Self:
        """Return the form of images (n, ch, h, w)."""
        _, channels, height, width = images.shape
        return cls(height, width, "grey" if channels == 1 else "rgb")


def formed(image: Image.Image, form: Form) -> np.ndarray:
    """Convert an image of mode L or RGB to a form: (ch, h, w) uint8.

    The image is resized with antialiasing to just cover the form, then center-cropped. Color is
    converted to gray by its luma (ITU-R 601: 0.299 red, 0.587 green, 0.114 blue).
    """
    size = form.width, form.height
    fitted = image if image.size == size else ImageOps.fit(image, size, Image.Resampling.BICUBIC)
    mode = "L" if form.channels == 1 else "RGB"
    pixels = np.asarray(fitted if fitted.mode == mode else fitted.convert(mode))
    return pixels[None] if form.channels == 1 else pixels.transpose(2, 0, 1)


def all_formed(images: np.ndarray, form: Form) -> np.ndarray:
    """Convert images (n, ch, h, w) to a form; return them unchanged if they have it."""
    if Form.of(images) == form:
        return images
    resized = np.empty((len(images), form.channels, form.height, form.width), np.uint8)
    with bar(len(images), "resizing", "image") as progress:
        for row, image in enumerate(images):
            resized[row] = one_formed(image, form)
            progress.update()
    return resized


def one_formed(image: np.ndarray, form: Form) -> np.ndarray:
    """Convert one image (ch, h, w) uint8 to a form."""
    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    return formed(Image.fromarray(np.ascontiguousarray(pixels)), form)
