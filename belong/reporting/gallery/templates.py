"""The templates of the pages that hold everything themselves, style and script included."""

from collections.abc import Sequence
from typing import cast

from jinja2 import (
    BaseLoader,
    Environment,
    PackageLoader,
    PrefixLoader,
    StrictUndefined,
    select_autoescape,
)


def environment(*packages: str) -> Environment:
    """Return the templates of packages of `belong`, by PACKAGE/FILE; what they show is escaped."""
    return Environment(
        loader=PrefixLoader({name: PackageLoader(f"belong.{name}", ".") for name in packages}),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def joined(templates: Environment, files: Sequence[str]) -> str:
    """Return files one after the other as they are: the parts of a style or of a script."""
    loader = cast("BaseLoader", templates.loader)
    return "".join(loader.get_source(templates, file)[0] for file in files)
