"""How a folder of images is checked."""

from dataclasses import dataclass

from belong.runtime.arguments import check_share, check_whole, is_rgb, refuse

MAX_PIXELS = 128_000_000  # where nobody says another number


@dataclass(frozen=True)
class CheckOptions:
    """What a training on the folder would do; the defaults are those of params.yaml.

    Attributes:
        alpha: share of the images that belong that a threshold may reject, between 0 and 1.
        test_fraction: share of every class that becomes the test, if the folder has none.
        calibration_fraction: share of every class that is held out to set thresholds; None: as
            many as `belong fit` holds out, and what it refuses spoils.
        max_bad_fraction: share of unreadable files above which a training stops, 0 to 1.
        max_pixels: larger images are unreadable.
        background: red, green and blue below transparent parts, 0..255.
        jobs: threads; all processors if None.

    Raises:
        InputError: a value is of another type, or out of its range.
    """

    alpha: float = 0.025
    test_fraction: float = 0.2
    calibration_fraction: float | None = None
    max_bad_fraction: float = 0.01
    max_pixels: int = MAX_PIXELS
    background: tuple[int, int, int] = (255, 255, 255)
    jobs: int | None = None

    def __post_init__(self) -> None:
        check_share("alpha", self.alpha)
        check_share("test_fraction", self.test_fraction)
        if self.calibration_fraction is not None:
            check_share("calibration_fraction", self.calibration_fraction)
        check_share("max_bad_fraction", self.max_bad_fraction, ends=True)
        check_whole("max_pixels", self.max_pixels)
        if not (isinstance(self.background, tuple) and is_rgb(self.background)):
            refuse("background", "three numbers from 0 to 255", self.background)
        if self.jobs is not None:
            check_whole("jobs", self.jobs)
