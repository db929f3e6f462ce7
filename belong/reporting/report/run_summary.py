"""Describe a run: its data sets, parameters and main results."""

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from belong.calibration.coverage import expected
from belong.runtime.text import percent, percent_of

IN_FORCE = {
    "calibrated": "calibrated, on {n_calibration:,} held-out images",
    "training": "the paper's, from training images; detectors without such a threshold are "
    "calibrated on {n_calibration:,} held-out images",
}
NOT_MEASURED = "not measured: the test images also calibrate the threshold"
CROSS = "calibrated, on all {n_calibration:,} training images, each scored out of fold"


def facts(
    parameters: Mapping[str, Any], numbers: Mapping[str, Any], *, tests_itself: bool = False
) -> dict[str, str]:
    """Return label -> value of the data sets, the main parameters and the main results.

    Args:
        parameters: params.yaml.
        numbers: metrics_all.json.
        tests_itself: the test images also set the threshold, so false rejects are not measured.
    """
    alpha, threshold = (parameters["calibration"][key] for key in ("alpha", "threshold"))
    promise, classes = numbers["calibration"], numbers["classification"]
    decides = parameters["bundle"]["detector"]
    is_cross = promise.get("method") == "cross" and threshold == "calibrated"
    rejects = percent(numbers["detectors"][decides]["false_reject"], 3)
    if tests_itself:
        rejects = NOT_MEASURED
    if threshold == "calibrated":  # only a calibrated threshold promises a rate
        low, high = expected(decides, promise, numbers["data"]["normal_test"])
        rejects += f" ({percent(low, 3)} to {percent(high, 3)} expected)"
    return {
        "normal images": _data_set(parameters["normal"]),
        "anomalies": _data_set(parameters["anomaly"]),
        "center-loss weight, lambda": f"{parameters['lambda']:g}",
        "seed": str(parameters["seed"]),
        "threshold in force": (CROSS if is_cross else IN_FORCE[threshold]).format_map(promise),
        "promised false-rejection rate, alpha": percent_of(alpha),
        f"false rejects of {decides}, the deciding detector": rejects,
        **_of_classes(classes),
    }


def _of_classes(classes: Mapping[str, Any]) -> dict[str, str]:
    """Describe the classification; with one class, state that it is not measured."""
    if classes["accuracy"] is None:
        return {"accuracy": f"not measured: {classes['reason']}"}
    return {
        "accuracy": f"{classes['accuracy']:.4f} on {classes['n']:,} test images",
        "calibration error of the probability, ECE": (
            f"{classes['ece']:.4f} at a temperature of {classes['temperature']:.4g}; "
            f"{classes['ece_raw']:.4f} without temperature scaling"
        ),
    }


def title(normal: Mapping[str, Any], anomaly: Mapping[str, Any]) -> str:
    """Return the title: the names of the normal images and of the anomalies.

    If both come from one data set, the title names their classes.
    """
    names = [PurePath(data_set["path"]).name for data_set in (normal, anomaly)]
    if anomaly["classes"] == "none":
        return names[0]
    if normal["path"] == anomaly["path"]:
        names = [
            f"{name} {_in_words(data_set['classes'])}"
            for name, data_set in zip(names, (normal, anomaly), strict=True)
        ]
    return " against ".join(names)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return dotted key -> value of nested parameters, in their order."""
    lines: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines |= flat(value, f"{prefix}{key}.")
        else:
            lines[prefix + key] = _in_words(value)
    return lines


def _data_set(data_set: Mapping[str, Any]) -> str:
    if data_set["classes"] == "none":
        return "none"
    chosen = data_set["classes"]
    classes = "all classes" if chosen == "all" else f"classes {_in_words(chosen)}"
    return f"{_in_words(data_set['path'])}, {classes}"


def _in_words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    path = Path(str(value))
    return _relative(path) if path.is_absolute() else str(value)


def _relative(path: Path) -> str:
    """Return a path below the current folder unchanged, and only the last part of other paths.

    The page may be shared, so it has no other folder names of this machine.
    """
    below = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else Path(path.name)
    return below.as_posix() if below.parts else path.name
