"""Define the image form of a model: size, color mode and limits."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_SIDE = 4096  # pixels: a model of a stranger's may not claim all memory


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ImageForm(_Facts):
    """How a file becomes the pixels that the network takes.

    Attributes:
        channels, height, width: of the pixels, uint8.
        color: "grey" or "rgb".
        resize: cover: resized (bicubic, antialiased) until it just covers the form, and cut at
            its center.
        background: red, green and blue below transparent parts.
        max_pixels: a larger file is not read.
    """

    channels: Literal[1, 3]
    height: Annotated[int, Field(ge=1, le=MOST_SIDE)]
    width: Annotated[int, Field(ge=1, le=MOST_SIDE)]
    color: Literal["grey", "rgb"]
    resize: Literal["cover"]
    background: tuple[int, int, int]
    max_pixels: Annotated[int, Field(ge=1)]
