"""How many frames an image file has: of an animation, or of a scan of several pages, one is read.

The content says it, not the name; of a file that cannot have several only the first bytes are read.
"""

from pathlib import Path

from PIL import Image

from belong.image_files import FORMATS

# GIF, WebP and TIFF begin so; an animated PNG or AVIF says that it is one before its first frame.
SEVERAL = (b"GIF8", b"RIFF", b"II*\0", b"MM\0*")
ANIMATED = (b"acTL", b"avis")
HEAD_BYTES = 4096


def frames_in(path: Path) -> int:
    """Return the number of frames; 1 of a file that cannot be read, too."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if not head.startswith(SEVERAL) and not any(mark in head for mark in ANIMATED):
                return 1
            with Image.open(file, formats=FORMATS) as image:
                return int(getattr(image, "n_frames", 1))
    except Exception:  # a damaged file makes a decoder raise anything; what, `read_image` says
        return 1
