"""Load the templates of the self-contained pages."""

from collections.abc import Sequence
from typing import cast

from jinja2 import BaseLoader, Environment, PackageLoader, StrictUndefined, select_autoescape


def environment(package: str = "belong") -> Environment:
    """Return the templates of a package, named by their paths; every value is escaped."""
    return Environment(
        loader=PackageLoader(package, "."),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def joined(templates: Environment, files: Sequence[str]) -> str:
    """Concatenate files: the parts of a style sheet or a script."""
    loader = cast("BaseLoader", templates.loader)
    return "".join(loader.get_source(templates, file)[0] for file in files)
