"""Read params.yaml into typed, frozen sections, and say plainly what is wrong with it."""

import difflib
from pathlib import Path
from typing import Any, Self, TypeGuard, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from belong.runtime.errors import InputError


class Section(BaseModel):
    """A part of params.yaml: no unknown, missing, mistyped or out-of-range key gets through."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a file.

        Raises:
            InputError: a line for each key that is wrong: where, what came, what was expected.
        """
        return cls.parse(read(path), path)

    @classmethod
    def parse(cls, values: dict[str, Any], path: Path) -> Self:
        """Check `values`, which came from `path`."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problems = [dict(problem) for problem in error.errors()]
            lines = _lines(_keys(cls, values), problems)
            raise InputError("\n".join(f"{path}: {line}" for line in lines)) from None


def read(path: Path) -> dict[str, Any]:
    """Read a YAML 1.2 mapping, as DVC does: `1e-05` is a number, a key stands there once."""
    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        problem = str(getattr(error, "problem", error)).splitlines()[0]
        raise InputError(f"{path}: not valid YAML{where}: {problem}") from None
    except RecursionError:
        raise InputError(f"{path}: not valid YAML: nested too deeply") from None
    if not isinstance(values, dict):
        came = "nothing" if values is None else type(values).__name__
        raise InputError(f"{path}: expected `key: value` lines, got {came}")
    return values


def _lines(known: list[str], problems: list[dict[str, Any]]) -> list[str]:
    """Say each problem in one line; a misspelt key is one problem, not an unknown and a missing."""
    keyed = [(".".join(str(part) for part in one["loc"]), one) for one in problems]
    meant = {
        key: difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
        for key, one in keyed
        if one["type"] == "extra_forbidden"
    }
    lines = []
    for key, one in keyed:
        if key in meant:
            lines.append(f"{key}: unknown key; the nearest known key is {meant[key]}")
        elif one["type"] != "missing":
            section = one["type"] == "model_type"
            wanted = "a section of its own, `key: value` lines" if section else _wanted(one["msg"])
            lines.append(f"{key}: got {one['input']!r}, expected {wanted}")
        elif key not in meant.values():
            lines.append(f"{key}: missing")
    return lines


def _wanted(message: str) -> str:
    for start in ("Value error, ", "Input should be ", "String should have "):
        message = message.removeprefix(start)
    return message


def _keys(model: type[BaseModel], values: Any, prefix: str = "") -> list[str]:
    """Return every dotted key that `model` knows; a section under a free name is in `values`."""
    keys = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        keys.append(prefix + key)
        inner = values.get(key) if isinstance(values, dict) else None
        if _is_section(field.annotation):
            keys += _keys(field.annotation, inner, f"{prefix}{key}.")
        elif isinstance(inner, dict):
            for of in filter(_is_section, get_args(field.annotation)[-1:]):
                for free, section in inner.items():
                    keys += _keys(of, section, f"{prefix}{key}.{free}.")
    return keys


def _is_section(kind: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
