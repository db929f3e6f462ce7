"""Combine the default parameters with the settings of a command line."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from belong.parameters import Parameters
from belong.runtime import portable_math
from belong.runtime.argument_names import heading
from belong.runtime.errors import InputError
from belong.runtime.text import say
from belong.runtime.typed_yaml import read

# A symbolic link to params.yaml; a file in an installed package.
DEFAULTS = Path(__file__).with_name("defaults.yaml")
LONGEST = 200  # characters of a setting in a message
DATA_SETS = ("normal", "anomaly", "unseen")


def setting(text: str) -> tuple[str, object]:
    """Parse `KEY=VALUE`; the value is YAML."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise InputError(f"--set {text}: expected KEY=VALUE, such as train.epochs=30")
    try:
        return key, YAML(typ="safe", pure=True).load(value)
    except (YAMLError, RecursionError):  # a RecursionError: a thousand nested brackets
        raise InputError(f"--set {text[:LONGEST]}: not valid YAML after the =") from None


def command_line_settings(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the settings on the command line: --seed, --threads, --device, and each --set."""
    options = {key: getattr(arguments, key) for key in ("seed", "threads", "device")}
    settings = {key: value for key, value in options.items() if value is not None}
    return settings | dict(setting(text) for text in arguments.settings)


def request_math(settings: Mapping[str, object]) -> None:
    """Set the math libraries' code paths and threads, before they are imported.

    Raises:
        InputError: a setting is wrong, or an environment variable contradicts it.
    """
    values = parameters({"math": read(DEFAULTS)["math"], **settings})
    portable_math.request(values.math, threads=values.threads, say=say)


def parameters(settings: Mapping[str, object]) -> Parameters:
    """Return the default parameters with `settings` applied; `math` is that of this process.

    Args:
        settings: dotted key -> value.

    Raises:
        InputError: a key is unknown, or a value is out of range.
    """
    values = read(DEFAULTS) | {"math": portable_math.current()}
    for key, value in settings.items():
        *sections, last = key.split(".")
        inside: Any = values
        for section in sections:
            inside = inside.setdefault(section, {})
            if not isinstance(inside, dict):
                raise InputError(f"{key}: {section} has no keys of its own")
        inside[last] = value  # `parse` refuses an unknown key
    return Parameters.parse(values, Path(heading("settings")))


def checked_parameters(settings: Mapping[str, object]) -> Parameters:
    """Return `parameters(settings)`, after a check of the names of detectors.

    The check loads torch if a setting names a detector; call `request_math` before.

    Raises:
        InputError: as `parameters`; or a name is unknown.
    """
    values = parameters(settings)
    members, detector = values.combined.members, values.bundle.detector
    if members != "auto" or detector != "combined":
        from belong.detectors.registry import check_names  # imported here: torch takes seconds

        check_names(members, detector, where=heading("settings"))
    return values


def check_keys(settings: Mapping[str, object]) -> None:
    """Refuse settings as `belong.fit` does.

    Raises:
        InputError: as `checked_parameters` and `sources`.
    """
    checked_parameters(sources(Path(), None, settings))


def sources(
    folder: Path, anomalies: Path | None, settings: Mapping[str, object]
) -> dict[str, object]:
    """Return `settings` with the paths of the images added.

    Raises:
        InputError: a setting names another folder.
    """
    for key in settings:
        if key.removesuffix(".path") in DATA_SETS:
            raise InputError(f"{key}: expected no such setting: arguments name the folders")
    path = str(folder.resolve())
    paths: dict[str, object] = {
        "normal.path": path,
        "normal.classes": "all",
        "anomaly.path": path if anomalies is None else str(anomalies.resolve()),
        "anomaly.classes": "none" if anomalies is None else "all",
        "unseen.path": path,
        "unseen.classes": "none",
    }
    return {**paths, **settings}
