"""Check a model against the requirements of `belong fit --require accuracy=0.9`.

Requirements do not change the model. Test images that have been used to select a model are not
independent any more: after many attempts the best model looks better than it is.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from belong.runtime.arguments import check_share, refuse
from belong.runtime.errors import InputError
from belong.runtime.exit_codes import NOT_GOOD_ENOUGH
from belong.runtime.text import printable

if TYPE_CHECKING:
    from belong.prediction.manifest import Measured
    from belong.prediction.model import Model

LEAST = ("accuracy", "auroc")  # the required number is a minimum
MOST = ("false_reject", "false_accept")  # the required number is a maximum
OF_ANOMALIES = ("auroc", "false_accept")


class RequirementError(InputError):
    """A fitted model misses a requirement; it is saved nevertheless.

    Attributes:
        model: the model.
    """

    exit_code = NOT_GOOD_ENOUGH

    def __init__(self, message: str, model: "Model") -> None:
        super().__init__(message)
        self.model = model


def requirement(text: str) -> tuple[str, float]:
    """Parse `KEY=NUMBER`."""
    key, _, number = text.partition("=")
    try:
        return key, float(number)
    except ValueError:
        raise InputError(
            f"--require {printable(text)}: expected KEY=NUMBER, such as accuracy=0.9"
        ) from None


def requirements(texts: Sequence[str]) -> dict[str, float]:
    """Parse the values of `--require`; each key may occur once."""
    pairs = [requirement(text) for text in texts]
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise InputError(f"--require {printable(key)}: expected once, got {keys.count(key)}")
    return dict(pairs)


def check_requirements(require: object, *, has_anomalies: bool) -> dict[str, float]:
    """Check requirements, and return key in LEAST or MOST -> number from 0 to 1.

    Raises:
        InputError: a key is unknown, a number is out of range, or a key needs anomalies and there
            are none.
    """
    if require is None:
        return {}
    if not isinstance(require, Mapping):
        refuse("require", "a mapping of keys to numbers, such as {'accuracy': 0.9}", require)
    known_keys = (*LEAST, *MOST)
    for key, number in require.items():
        if key not in known_keys:
            nearest = difflib.get_close_matches(str(key), known_keys, n=1, cutoff=0.0)[0]
            raise InputError(
                f"require: {printable(str(key))}: unknown key; the nearest known key is {nearest}"
            )
        check_share(f"require: {key}", number, ends=True)
        if key in OF_ANOMALIES and not has_anomalies:
            raise InputError(f"require: {key}: expected a folder of test anomalies, got none")
    return {key: float(number) for key, number in require.items()}


def unmet(
    measured: "Measured", required: Mapping[str, float], *, tests_itself: bool = False
) -> list[str]:
    """Return a sentence for each requirement that a model misses.

    Args:
        measured: the metrics of the model.
        required: key -> limit.
        tests_itself: whether each test image has set the threshold, so that the share of rejected
            ones is that of the calibration and measures nothing.
    """
    sentences = []
    for key, number in required.items():
        value = getattr(measured, key)
        if key == "false_reject" and tests_itself:
            sentences.append(
                f"{key} was not measured: the test images also calibrate the threshold"
            )
        elif value is None:
            no_anomaly = "there are no test anomalies"
            why = "the images have one class" if key == "accuracy" else no_anomaly
            sentences.append(f"{key} was not measured: {why}")
        elif key in LEAST and value < number:
            sentences.append(f"{key} is {value:.4f}, expected at least {number:g}")
        elif key in MOST and value > number:
            sentences.append(f"{key} is {value:.4f}, expected at most {number:g}")
    return sentences
