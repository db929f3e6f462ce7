"""What was run, in words."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

IN_FORCE = {
    "calibrated": "calibrated, on {n_calibration:,} held-out images",
    "training": "the paper's, from the training images",
}


def facts(
    parameters: Mapping[str, Any], promise: Mapping[str, Any], classes: Mapping[str, Any]
) -> dict[str, str]:
    """Return the pair, the choices and what came of them, label -> value.

    Args:
        parameters: params.yaml.
        promise: `calibration` of metrics.json.
        classes: `classification` of metrics.json.
    """
    alpha, threshold = (parameters["calibration"][key] for key in ("alpha", "threshold"))
    return {
        "normal images": _data_set(parameters["normal"]),
        "anomalies": _data_set(parameters["anomaly"]),
        "weight of the center loss, lambda": f"{parameters['lambda']:g}",
        "seed": str(parameters["seed"]),
        "threshold in force": IN_FORCE[threshold].format_map(promise),
        "promised false rejects, alpha": f"{alpha:g}",
        "false rejects of mahalanobis": (
            f"{promise['false_reject_calibrated']:.4f} "
            f"({promise['false_reject_expected_low']:.4f} to "
            f"{promise['false_reject_expected_high']:.4f} expected)"
        ),
        "accuracy": f"{classes['accuracy']:.4f} on {classes['n']:,} test images",
    }


def title(normal: Mapping[str, Any], anomaly: Mapping[str, Any]) -> str:
    """Return which pair this is, or that there are no anomalies."""
    names = [PurePath(chosen["path"]).name for chosen in (normal, anomaly)]
    return names[0] if anomaly["classes"] == "none" else " against ".join(names)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested parameters by their dotted keys, in their order."""
    lines: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines |= flat(value, f"{prefix}{key}.")
        else:
            lines[prefix + key] = _in_words(value)
    return lines


def _data_set(chosen: Mapping[str, Any]) -> str:
    return f"{chosen['path']}, classes {_in_words(chosen['classes'])}"


def _in_words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
