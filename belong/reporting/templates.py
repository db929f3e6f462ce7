"""The templates of the pages that hold everything themselves, style and script included."""

from collections.abc import Sequence
from typing import cast

from jinja2 import BaseLoader, Environment, PackageLoader, StrictUndefined, select_autoescape


def environment(package: str = "belong") -> Environment:
    """Return a package's templates, named by their paths in it; every value is escaped."""
    return Environment(
        loader=PackageLoader(package, "."),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def joined(templates: Environment, files: Sequence[str]) -> str:
    """Return files one after the other as they are: the parts of a style or of a script."""
    loader = cast("BaseLoader", templates.loader)
    return "".join(loader.get_source(templates, file)[0] for file in files)
