"""Colors with an ICC profile come out as the formulas of their standards say, in sRGB."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from belong.data.color_profile import SAME, BrokenProfileError, to_srgb
from belong.data.image_reader import ImageContent, read_file
from tests import icc_profiles as icc

LEVELS = np.linspace(0, 255, 9).round().astype(np.uint8)
COLORS = np.stack(np.meshgrid(LEVELS, LEVELS, LEVELS), axis=-1).reshape(27, 27, 3)
# 8 bits in and out: half a level of rounding, and LittleCMS computes with 15 bits.
TOLERANCE = 2


def read(path: Path, *, needed_px: int = 1000) -> ImageContent:
    return read_file(path, needed_px=needed_px, max_pixels=10**7, background=(255, 255, 255))


def encoded(linear: np.ndarray) -> np.ndarray:
    """Return sRGB, 0..255, of linear values (IEC 61966-2-1); what is outside is cut off."""
    clipped = linear.clip(0, 1)
    return 255 * np.where(
        clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055
    )


def linear_of(values: np.ndarray) -> np.ndarray:
    v = values / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def by_formula(linear: np.ndarray, primaries: icc.Primaries) -> np.ndarray:
    """Return sRGB of linear colors (..., 3) of other primaries, all with the white of D65."""
    matrix = np.linalg.solve(icc.to_xyz(icc.SRGB), icc.to_xyz(primaries))
    return encoded(linear @ matrix.T)


WIDE = {
    "display_p3": (icc.rgb(icc.DISPLAY_P3), by_formula(linear_of(COLORS), icc.DISPLAY_P3)),
    "adobe_rgb": (
        icc.rgb(icc.ADOBE_RGB, gamma=icc.ADOBE_GAMMA),
        by_formula((COLORS / 255) ** icc.ADOBE_GAMMA, icc.ADOBE_RGB),
    ),
}


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
@pytest.mark.parametrize("space", WIDE)
def test_colors_of_a_wider_space_are_what_its_formula_gives(
    tmp_path: Path, space: str, name: str
) -> None:
    profile, expected = WIDE[space]
    Image.fromarray(COLORS).save(tmp_path / name, icc_profile=profile, lossless=True)
    pixels = np.asarray(read(tmp_path / name).image).astype(float)
    assert np.abs(pixels - expected).max() <= TOLERANCE
    assert np.abs(pixels - COLORS).max() > 20  # which a reader without profiles is off by


def test_the_red_of_display_p3_by_hand(tmp_path: Path) -> None:
    # 0.8 of P3's red, linear 0.6038: sRGB's red has 1.2249 of it, green -0.0421, blue -0.0196.
    Image.new("RGB", (4, 4), (204, 0, 0)).save(
        tmp_path / "a.png", icc_profile=WIDE["display_p3"][0]
    )
    red, green, blue = np.asarray(read(tmp_path / "a.png").image)[0, 0].tolist()
    assert red == pytest.approx(255 * (1.055 * (0.6038 * 1.2249) ** (1 / 2.4) - 0.055), abs=1)
    assert (green, blue) == (0, 0)


def test_a_jpeg_that_is_decoded_smaller_has_the_colors_of_its_profile(tmp_path: Path) -> None:
    profile, _ = WIDE["display_p3"]
    color = np.array([200, 80, 40])
    Image.new("RGB", (1600, 1200), tuple(color.tolist())).save(
        tmp_path / "a.jpg", icc_profile=profile, quality=95
    )
    content = read(tmp_path / "a.jpg", needed_px=64)
    expected = by_formula(linear_of(color), icc.DISPLAY_P3)
    assert content.image.size == (200, 150)
    assert np.abs(np.asarray(content.image)[75, 100] - expected).max() <= TOLERANCE + 1


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_with_a_grey_profile_stays_grey_and_has_the_curve_of_srgb(
    tmp_path: Path, mode: str
) -> None:
    ramp = np.arange(256, dtype=np.uint8)[None]
    image = Image.fromarray(ramp).convert(mode)
    image.save(tmp_path / "a.png", icc_profile=icc.grey(1.8))
    picture = read(tmp_path / "a.png").image
    expected = encoded((ramp / 255) ** 1.8)
    assert picture.mode == ("L" if mode == "L" else "RGB")
    assert np.abs(np.asarray(picture.convert("L")) - expected).max() <= TOLERANCE


def test_sixteen_bits_with_a_profile_have_its_curve(tmp_path: Path) -> None:
    values = np.array([[0, 20000, 40000, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png", icc_profile=icc.grey(1.8))
    pixels = np.asarray(read(tmp_path / "a.png").image)
    assert np.abs(pixels - encoded((values / 65535) ** 1.8)).max() <= 1


def test_a_grey_image_with_a_profile_of_rgb_has_the_curve_of_that(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8)[None]
    Image.fromarray(ramp).save(tmp_path / "a.png", icc_profile=icc.rgb(icc.ADOBE_RGB, gamma=1.8))
    assert (
        np.abs(np.asarray(read(tmp_path / "a.png").image) - encoded((ramp / 255) ** 1.8)).max() <= 1
    )


def test_alpha_is_laid_over_the_background_after_the_colors_are_converted(tmp_path: Path) -> None:
    profile, expected = WIDE["display_p3"]
    image = Image.fromarray(COLORS)
    image.putalpha(Image.new("L", image.size, 51))
    image.save(tmp_path / "a.png", icc_profile=profile)
    pixels = np.asarray(read(tmp_path / "a.png").image)
    assert np.abs(pixels - (0.2 * expected + 0.8 * 255)).max() <= TOLERANCE


def test_the_colors_of_a_palette_are_converted(tmp_path: Path) -> None:
    profile, expected = WIDE["display_p3"]
    image = Image.fromarray(COLORS[:4, :4]).convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
    colors = np.asarray(image.convert("RGB"))
    image.save(tmp_path / "a.png", icc_profile=profile)
    pixels = np.asarray(read(tmp_path / "a.png").image)
    assert np.abs(pixels - by_formula(linear_of(colors), icc.DISPLAY_P3)).max() <= TOLERANCE
    assert expected.shape == COLORS.shape


INKS = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 0, 0), (255, 255, 255, 255)]
PRINTED = np.array([(255, 255, 255), (0, 140, 200), (200, 0, 110), (0, 0, 0)])


@pytest.mark.parametrize("name", ["a.tif", "a.jpg"])
def test_inks_have_the_colors_that_their_profile_prints(tmp_path: Path, name: str) -> None:
    """The profile says white, a cyan, a magenta and black; all other inks are dark."""
    lab = np.zeros((2, 2, 2, 2, 3))
    for ink, color in zip(INKS, PRINTED, strict=True):
        lab[tuple(value // 255 for value in ink)] = lab_of(color)
    image = Image.new("CMYK", (64, 16))
    for place, ink in enumerate(INKS):
        image.paste(ink, (16 * place, 0, 16 * place + 16, 16))
    image.save(tmp_path / name, icc_profile=icc.cmyk(lab), quality=100)
    pixels = np.asarray(read(tmp_path / name).image)[8, 8::16].astype(int)
    assert np.abs(pixels - PRINTED).max() <= 4  # a and b are whole numbers in the table


def lab_of(color: np.ndarray) -> np.ndarray:
    """Return CIE Lab under D50 of an sRGB color."""
    adapted = icc.BRADFORD @ icc.xyz_of(icc.D65)
    to_d50 = (
        np.linalg.inv(icc.BRADFORD)
        @ np.diag(icc.BRADFORD @ np.array(icc.D50) / adapted)
        @ icc.BRADFORD
    )
    t = to_d50 @ icc.to_xyz(icc.SRGB) @ linear_of(color) / np.array(icc.D50)
    x, y, z = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize(
    "profile",
    [
        icc.rgb(icc.SRGB),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    ],
    ids=["by hand", "LittleCMS"],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_a_profile_of_srgb_leaves_the_very_same_image(profile: bytes, mode: str) -> None:
    image = Image.fromarray(COLORS).convert(mode)
    assert to_srgb(image, profile) is image


def test_profiles_treated_as_srgb_differ_invisibly() -> None:
    """Gamma 2.2 is off by more than SAME in the shadows, and is converted."""
    image = Image.fromarray(COLORS)
    assert SAME <= 2
    assert to_srgb(image, icc.rgb(icc.SRGB, gamma=2.2)) is not image


@pytest.mark.parametrize(
    ("mode", "profile", "reason"),
    [
        ("RGB", b"no profile", "damaged"),
        ("RGB", icc.rgb(icc.DISPLAY_P3)[:300], "damaged"),
        ("RGB", b"", "damaged"),
        ("RGB", None, "damaged"),
        ("RGB", icc.grey(2.2), "it is of GRAY, the image of RGB"),
        ("CMYK", icc.rgb(icc.SRGB), "it is of RGB, the image of CMYK"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused_with_the_reason(
    mode: str, profile: bytes | None, reason: str
) -> None:
    with pytest.raises(BrokenProfileError, match=reason):
        to_srgb(Image.new(mode, (2, 2)), profile)


def test_an_image_with_a_broken_profile_is_read_as_srgb_and_says_so(tmp_path: Path) -> None:
    Image.fromarray(COLORS).save(tmp_path / "a.png", icc_profile=b"no profile")
    content = read(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(content.image), COLORS)
    assert content.profile_error == "it is damaged"
    Image.fromarray(COLORS).save(tmp_path / "b.png")
    assert read(tmp_path / "b.png").profile_error == ""
