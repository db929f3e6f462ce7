"""Define the options of `belong.check`."""

from dataclasses import dataclass

from belong.runtime.arguments import check_share, check_whole, is_rgb, refuse

MAX_PIXELS = 128_000_000  # the default of params.yaml


@dataclass(frozen=True)
class CheckOptions:
    """The options of the planned training; the defaults are those of params.yaml.

    Attributes:
        alpha: promised false-rejection rate, between 0 and 1; None: that of `belong fit`, 0.025 or
            the minimum that the images allow.
        test_fraction: test share of each class, if the folder has no test part.
        calibration_fraction: calibration share of each class; None: the share that `belong fit`
            chooses, and a folder that it refuses is reported as spoiled.
        max_bad_fraction: share of unreadable files above which training stops, 0 to 1.
        max_pixels: maximum number of pixels; larger images count as unreadable.
        background: color behind transparent pixels: red, green and blue, 0..255.
        jobs: decoding processes, or threads for IDX files; None: one per processor.

    Raises:
        InputError: a value has the wrong type, or is out of range.
    """

    alpha: float | None = None
    test_fraction: float = 0.2
    calibration_fraction: float | None = None
    max_bad_fraction: float = 0.01
    max_pixels: int = MAX_PIXELS
    background: tuple[int, int, int] = (255, 255, 255)
    jobs: int | None = None

    def __post_init__(self) -> None:
        if self.alpha is not None:
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
