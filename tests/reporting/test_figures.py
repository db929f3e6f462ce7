"""What the figures show, read back from them."""

import numpy as np
import pandas as pd
import pytest

from belong.reporting.figures import calibration, gallery


def curve(high: dict[str, float]) -> pd.DataFrame:
    """Return a calibration curve in which the band of each detector ends at its own rate."""
    return pd.DataFrame(
        {"detector": name, "alpha": alpha, "false_reject": alpha,
         "expected_low": alpha / 2, "expected_high": alpha * most}
        for name, most in high.items()
        for alpha in (0.01, 0.1)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("high", "bands"),
    [
        ({"vim": 2, "msp": 2}, {"expected of 95% of runs"}),
        (
            {"vim": 2, "msp": 2, "energy": 2, "combined": 3},
            {"expected of 95% of runs, most", "expected of 95% of runs, combined"},
        ),
    ],
)
def test_a_detector_that_fewer_images_calibrated_has_a_band_of_its_own(
    high: dict[str, float], bands: set[str]
) -> None:
    (axes,) = calibration(curve(high)).axes
    band_of = {str(band.get_label()): band for band in axes.collections}
    assert set(band_of) == bands
    for label, band in band_of.items():
        most = 3 if label.endswith("combined") else 2
        assert np.asarray(band.get_paths()[0].vertices)[:, 1].max() == pytest.approx(0.1 * most)


@pytest.mark.parametrize(("ink", "expected"), [(True, 255 - 40), (False, 40)])
def test_ink_is_drawn_dark_on_white_and_a_gray_photo_as_it_is(ink: bool, expected: int) -> None:
    images = np.full((1, 1, 8, 8), 40, np.uint8)
    rows = {"vim": (np.array([0]), np.array([0.5]))}
    (axes,) = gallery(images, np.array(["x"]), rows, ink=ink).axes
    (picture,) = axes.images
    pixels = np.asarray(picture.get_array())
    assert pixels[0, 0] == expected
    assert picture.get_clim() == (0, 255)
