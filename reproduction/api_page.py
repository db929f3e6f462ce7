"""Write the page of the Python API from its docstrings.

    python -m reproduction.api_page docs/python-api.md

Writes  page   markdown: each public name with its signature and its docstring, examples included
"""

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import belong
from belong.runtime.storage import save_text

HEAD = """# The Python API

Generated from the docstrings: `python -m reproduction.api_page docs/python-api.md`. Each example is
run as a test. `import belong` imports nothing else; each name is imported at its first use.
"""
SECTIONS = {"Args": "Arguments", "Attributes": "Attributes", "Returns": "Returns",
            "Raises": "Raises", "Example": "Example"}  # fmt: skip
SECTION = re.compile(rf"^({'|'.join(SECTIONS)}):$", re.MULTILINE)
ENTRY = re.compile(r"^(\w+): ?", re.MULTILINE)
# The module of a name in a signature, such as `belong.prediction.model.` of Model.
MODULE = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Z])")
WIDTH = 100


def page() -> str:
    """Return the page: functions first, then what they return and raise."""
    names = sorted(belong.__all__, key=lambda name: (name[0].isupper(), name))
    return "\n".join([HEAD, *(part for name in names for part in entry(name))])


def entry(name: str) -> Iterator[str]:
    """Yield the heading and the docstring of a public name, and those of its public methods."""
    thing = getattr(belong, name)
    yield f"## belong.{name}\n"
    yield described(thing, f"belong.{name}")
    if inspect.isclass(thing) and not issubclass(thing, Exception | tuple):
        for method, value in vars(thing).items():
            function = getattr(value, "fget", None) or getattr(value, "func", None) or value
            if inspect.isfunction(function) and not method.startswith("_"):
                yield f"### {name}.{method}\n"
                yield described(function, method, is_property=function is not value)


def described(thing: object, name: str, *, is_property: bool = False) -> str:
    """Return the signature of a callable, and the docstring, as Markdown."""
    called = inspect.isfunction(thing) and not is_property
    head = f"```python\n{signature(thing, name)}\n```\n\n" if called else ""
    text, *sections = SECTION.split(inspect.getdoc(thing) or "")
    parts = [text.strip()]
    for title, content in zip(sections[::2], sections[1::2], strict=True):
        parts += [f"**{SECTIONS[title]}**", section(title, textwrap.dedent(content).strip("\n"))]
    return head + "\n\n".join(parts) + "\n"


def signature(function: object, name: str) -> str:
    """Return a signature on one line, or with a line for each parameter."""
    text = inspect.signature(function)  # type: ignore[arg-type]
    result = annotation(text.return_annotation)
    returns = "" if text.return_annotation is text.empty else f" -> {result}"
    parts, star = [], False
    for parameter in text.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parts.append("*")
        star = star or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        parts.append(described_parameter(parameter))
    parts = [part.replace("'", '"') for part in parts]
    short = f"{name}({', '.join(parts)}){returns}"
    if len(short) <= WIDTH:
        return short
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){returns}"])


def described_parameter(parameter: inspect.Parameter) -> str:
    """Return a parameter as it is written in Python; a default string keeps its quotes."""
    bare = parameter.replace(annotation=parameter.empty, default=parameter.empty)
    has_default = parameter.default is not parameter.empty
    if parameter.annotation is parameter.empty:
        return f"{bare}={parameter.default!r}" if has_default else str(bare)
    typed = f"{bare}: {annotation(parameter.annotation)}"
    return f"{typed} = {parameter.default!r}" if has_default else typed


def annotation(kind: object) -> str:
    """Return an annotation without modules and without the quotes of a forward reference."""
    text = kind if isinstance(kind, str) else inspect.formatannotation(kind)
    return MODULE.sub("", text.strip("'\""))


def section(title: str, content: str) -> str:
    """Return the content of a section: lists of names, a block of code, or text."""
    if title == "Example":
        return f"```pycon\n{content}\n```"
    if title == "Returns":
        return content
    _, *entries = ENTRY.split(content)
    return "\n".join(
        f"- `{name}`: {' '.join(text.split())}"
        for name, text in zip(entries[::2], entries[1::2], strict=True)
    )


if __name__ == "__main__":
    save_text(Path(sys.argv[1]), page())
