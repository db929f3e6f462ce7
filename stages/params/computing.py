"""Parameters of every stage that computes with torch: where, and with how many threads."""

from typing import Annotated, Literal

from pydantic import Field

from belong.runtime.typed_yaml import Section


class Params(Section):
    """Where to compute."""

    device: Literal["auto", "cpu", "cuda"]
    threads: Annotated[int, Field(ge=1, le=1024)]
