"""Read params.yaml into typed, frozen sections, and report each error in it."""

import difflib
from pathlib import Path
from typing import Any, Self, TypeGuard, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from belong.runtime.errors import InputError


class Section(BaseModel):
    """A section of params.yaml; unknown, missing, mistyped and out-of-range keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a file.

        Raises:
            InputError: keys are wrong; the message has a line for each: the key, the expected value
                and the value in the file.
        """
        return cls.parse(read(path), path)

    @classmethod
    def parse(cls, values: dict[str, Any], path: Path) -> Self:
        """Check `values`, read from `path`."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problems = [dict(problem) for problem in error.errors()]
            lines = _lines(_keys(cls, values), problems)
            raise InputError("\n".join(f"{path}: {line}" for line in lines)) from None


def read(path: Path) -> dict[str, Any]:
    """Read a YAML 1.2 mapping as DVC does: `1e-05` is a number, and duplicate keys are refused."""
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
        kind = "nothing" if values is None else type(values).__name__
        raise InputError(f"{path}: expected `key: value` lines, got {kind}")
    return values


def _lines(known_keys: list[str], problems: list[dict[str, Any]]) -> list[str]:
    """Return a line for each problem; a misspelt key counts as unknown, not as missing too."""
    keyed = [(".".join(str(part) for part in problem["loc"]), problem) for problem in problems]
    nearest = {
        key: difflib.get_close_matches(key, known_keys, n=1, cutoff=0.0)[0]
        for key, problem in keyed
        if problem["type"] == "extra_forbidden"
    }
    lines = []
    for key, problem in keyed:
        if key in nearest:
            lines.append(f"{key}: unknown key; the nearest known key is {nearest[key]}")
        elif problem["type"] != "missing":
            is_section = problem["type"] == "model_type"
            expected = (
                "a section of `key: value` lines" if is_section else _expected(problem["msg"])
            )
            lines.append(f"{key}: expected {expected}, got {problem['input']!r}")
        elif key not in nearest.values():
            lines.append(f"{key}: missing")
    return lines


def _expected(message: str) -> str:
    for start in ("Value error, ", "Input should be ", "String should have "):
        message = message.removeprefix(start)
    return message


def _keys(model: type[BaseModel], values: Any, prefix: str = "") -> list[str]:
    """Return every dotted key of `model`; sections with free names are looked up in `values`."""
    keys = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        keys.append(prefix + key)
        inner = values.get(key) if isinstance(values, dict) else None
        if _is_section(field.annotation):
            keys += _keys(field.annotation, inner, f"{prefix}{key}.")
        elif isinstance(inner, dict):
            for kind in filter(_is_section, get_args(field.annotation)[-1:]):
                for free_name, section in inner.items():
                    keys += _keys(kind, section, f"{prefix}{key}.{free_name}.")
    return keys


def _is_section(kind: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
