"""The parameters of a command: the defaults, with what a person has set in their place."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from belong.parameters import Parameters
from belong.runtime import portable_math
from belong.runtime.errors import InputError
from belong.runtime.text import say
from belong.runtime.typed_yaml import read

# A link to the project's own params.yaml; in an installed package it is a file.
DEFAULTS = Path(__file__).with_name("defaults.yaml")
LONGEST = 200  # characters of a setting that a message shows
DATA_SETS = ("normal", "anomaly", "unseen")


def setting(text: str) -> tuple[str, object]:
    """Return key and value of `KEY=VALUE`; the value is read as YAML."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise InputError(f"--set {text}: expected KEY=VALUE, such as train.epochs=30")
    try:
        return key, YAML(typ="safe", pure=True).load(value)
    except (YAMLError, RecursionError):  # which a thousand brackets raise
        raise InputError(f"--set {text[:LONGEST]}: not valid YAML behind the =") from None


def given(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the settings on the command line: --seed, --threads, --device, and each --set."""
    own = {key: getattr(arguments, key) for key in ("seed", "threads", "device")}
    named = {key: value for key, value in own.items() if value is not None}
    return named | dict(setting(text) for text in arguments.set)


def request_math(settings: Mapping[str, object]) -> None:
    """Set what a command computes with, before it imports what computes.

    Raises:
        InputError: a setting is wrong, or the environment contradicts.
    """
    values = parameters({"math": read(DEFAULTS)["math"], **settings})
    portable_math.request(values.math, threads=values.threads, say=say)


def parameters(settings: Mapping[str, object]) -> Parameters:
    """Return the default parameters with some keys, dotted, changed; `math` is this process's.

    Raises:
        InputError: there is no such key, or the value cannot be.
    """
    values = read(DEFAULTS) | {"math": portable_math.current()}
    for key, value in settings.items():
        *sections, last = key.split(".")
        inside: Any = values
        for section in sections:
            inside = inside.setdefault(section, {})
            if not isinstance(inside, dict):
                raise InputError(f"{key}: {section} has no keys of its own")
        inside[last] = value  # an unknown one is refused with the rest
    return Parameters.parse(values, Path("--set"))


def sources(folder: Path, anomalies: Path | None, own: Mapping[str, object]) -> dict[str, object]:
    """Return the settings that say where the images lie, and the `own` ones.

    Raises:
        InputError: an own setting names another folder.
    """
    for key in own:
        if key.removesuffix(".path") in DATA_SETS:
            raise InputError(f"{key}: expected no such setting: arguments name the folders")
    path = str(folder.resolve())
    settings: dict[str, object] = {
        "normal.path": path,
        "normal.classes": "all",
        "anomaly.path": path if anomalies is None else str(anomalies.resolve()),
        "anomaly.classes": "none" if anomalies is None else "all",
        "unseen.path": path,
        "unseen.classes": "none",
    }
    return {**settings, **own}
