"""Parameters of the stage pack: where the images lie, and how files become pixels."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, PlainValidator

from belong.runtime.typed_yaml import Section

NAMED = {"white": (255, 255, 255), "black": (0, 0, 0)}


def _color(value: object) -> object:
    if isinstance(value, list):
        right = len(value) == 3 and all(type(one) is int and 0 <= one <= 255 for one in value)
    else:
        right = isinstance(value, str) and value in NAMED
    if not right:
        raise ValueError("white, black or three numbers from 0 to 255")
    return value


class Folder(Section):
    """Where a data set lies; what else is said of it, other stages read."""

    model_config = ConfigDict(extra="ignore")

    path: Annotated[str, Field(min_length=1)]


class ImagesSection(Section):
    """How image files become pixels."""

    side_px: Annotated[int, Field(ge=1)]
    color: Literal["auto", "grey", "rgb"]
    background: Annotated[str | list[int], PlainValidator(_color)]
    max_bad_fraction: Annotated[float, Field(ge=0, le=1)]
    # Pillow itself refuses what is larger.
    max_pixels: Annotated[int, Field(ge=1, le=178_956_970)]

    @property
    def background_rgb(self) -> tuple[int, int, int]:
        """The background as three numbers."""
        if isinstance(self.background, str):
            return NAMED[self.background]
        red, green, blue = self.background
        return red, green, blue


class Params(Section):
    """What `pack` reads from params.yaml."""

    normal: Folder
    anomaly: Folder
    unseen: Folder
    images: ImagesSection
