"""Define the image form of a model: size, color mode and limits."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from belong.parameters import MOST_PIXELS

COLORS: dict[str, tuple[int, int, int]] = {"white": (255, 255, 255), "black": (0, 0, 0)}
MOST_SIDE = 4096  # maximum side in pixels: an untrusted model must not exhaust the memory
Channel = Annotated[int, Field(ge=0, le=255)]


def rgb_of(background: str | list[int]) -> tuple[int, int, int]:
    """Return the parameter `images.background` as red, green and blue."""
    if isinstance(background, str):
        return COLORS[background]
    red, green, blue = background
    return red, green, blue


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ImageForm(_Facts):
    """The conversion of a file to the input pixels of the network.

    Attributes:
        channels, height, width: shape of the pixels, which are uint8.
        color: "grey" or "rgb".
        resize: "cover": resized (bicubic, antialiased) to just cover the form, then center-cropped.
        background: color behind transparent pixels: red, green and blue.
        max_pixels: maximum number of pixels of a readable file.
    """

    channels: Literal[1, 3]
    height: Annotated[int, Field(ge=1, le=MOST_SIDE)]
    width: Annotated[int, Field(ge=1, le=MOST_SIDE)]
    color: Literal["grey", "rgb"]
    resize: Literal["cover"]
    background: tuple[Channel, Channel, Channel]
    max_pixels: Annotated[int, Field(ge=1, le=MOST_PIXELS)]
