"""Which detectors keep the promise of their calibrated threshold on the test images."""

from collections.abc import Mapping
from typing import Any

from belong import conformal

# Half of the held-out images give its p-values, and only the rest set its threshold.
COMBINED = "combined"


def expected(name: str, calibration: Mapping[str, Any], n_test: int) -> tuple[float, float]:
    """Return between which rates of false rejects 95 % of runs lie.

    Args:
        name: the detector's.
        calibration: `calibration` of metrics.json.
        n_test: the number of normal test images.
    """
    held_out = calibration["n_calibration"]
    n = held_out // 2 if name == COMBINED else held_out
    return conformal.promised_range(n, n_test, alpha=calibration["alpha"])


def outside(numbers: Mapping[str, Any]) -> dict[str, float]:
    """Return the rate of false rejects of each detector that lies outside its own range.

    Args:
        numbers: metrics.json of a run whose thresholds in force are the calibrated ones.
    """
    found = {}
    for name, measured in numbers["detectors"].items():
        rate = measured.get("false_reject")
        if rate is not None:
            low, high = expected(name, numbers["calibration"], numbers["data"]["normal_test"])
            if not round(low, 4) <= rate <= round(high, 4):  # the rate has four decimals
                found[name] = rate
    return found
