"""Write the page of the Python API from its docstrings.

    python -m reproduction.api_page docs/python-api.md

Writes  page   markdown: each public name with its signature and its docstring, examples included
"""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import belong
from belong.runtime.storage import save_text

HEAD = """# The Python API

Generated from the docstrings: `python -m reproduction.api_page docs/python-api.md`. Each example is
run as a test. `import belong` imports nothing else; each name is imported at its first use.
"""


def page() -> str:
    """Return the page: functions first, then what they return and raise."""
    names = sorted(belong.__all__, key=lambda name: (name[0].isupper(), name))
    return "\n".join([HEAD, *(part for name in names for part in entry(name))])


def entry(name: str) -> Iterator[str]:
    """Yield the heading and the docstring of a public name, and those of its public methods."""
    thing = getattr(belong, name)
    yield f"## belong.{name}\n"
    yield described(thing, name)
    if inspect.isclass(thing) and not issubclass(thing, Exception | tuple):
        for method, value in vars(thing).items():
            function = getattr(value, "fget", None) or getattr(value, "func", None) or value
            if inspect.isfunction(function) and not method.startswith("_"):
                yield f"### {name}.{method}\n"
                yield described(function, method, is_property=function is not value)


def described(thing: object, name: str, *, is_property: bool = False) -> str:
    """Return a signature, where there is one to be called, and a docstring as blocks of code."""
    called = inspect.isfunction(thing) and not is_property
    head = f"{name}{inspect.signature(thing)}\n\n" if called else ""  # type: ignore[arg-type]
    return f"```text\n{head}{inspect.getdoc(thing)}\n```\n"


if __name__ == "__main__":
    save_text(Path(sys.argv[1]), page())
