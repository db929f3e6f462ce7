"""Make thumbnails of photos for pages and models: JPEG of bounded size, same aspect ratio.

Mean size of 76 photos of rooms and other things at quality 75: 14 kB at 320 pixels, 9.7 at 256, 6.0
at 192, 3.3 at 128, 2.3 at 96. The largest photo takes twice as much.
"""

import io

from PIL import Image

# Longer side in pixels -> maximum number of bytes, a fifth more than the mean of photos.
SIDES_PX = {320: 17_000, 256: 12_000, 192: 7_500, 128: 4_100, 96: 2_800}
QUALITIES = (75, 60, 45, 30, 15)  # the first that is small enough is used
# Maximum side of a small image, which is shown without loss, each pixel as a square.
SMALL_PX = 64


def side_for(count: int, *, budget: int) -> int:
    """Return the largest side for `count` photos within `budget` bytes, or the smallest."""
    fitting = [side for side, size in SIDES_PX.items() if count * size <= budget]
    return max(fitting, default=min(SIDES_PX))


def thumbnail(image: Image.Image, *, side_px: int) -> bytes:
    """Return a JPEG of an image of mode L or RGB, its longer side reduced to one of SIDES_PX."""
    factor = side_px / max(image.size)
    small = image
    if factor < 1:
        width, height = (max(1, round(side * factor)) for side in image.size)
        # Mostly averages blocks of pixels, which takes a third of the time of a better filter.
        small = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=1.5)
    content = b""
    for quality in QUALITIES:
        file = io.BytesIO()
        small.save(file, "JPEG", quality=quality)
        content = file.getvalue()
        if len(content) <= SIDES_PX[side_px]:
            break
    return content
