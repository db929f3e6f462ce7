"""Detect the type of an image file by its first bytes or, if they are ambiguous, by its name."""

import re
from pathlib import Path

HEAD = 512  # bytes at the start of a file that determine its type

EXTENSIONS = {
    ".apng", ".avif", ".bmp", ".dib", ".gif", ".jfi", ".jfif", ".jif", ".jpe", ".jpeg", ".jpg",
    ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
}  # fmt: skip
# HEIC files of phones and cameras, which need the package pillow-heif.
HEIF = {".heic", ".heics", ".heif", ".heifs", ".hif"}
# Raw photos. Some are TIFF files with a small preview, which is not the photo.
RAW = {
    ".3fr", ".ari", ".arw", ".bay", ".cap", ".cr2", ".cr3", ".crw", ".dcr", ".dcs", ".dng", ".drf",
    ".eip", ".erf", ".fff", ".gpr", ".iiq", ".k25", ".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw",
    ".orf", ".pef", ".ptx", ".raf", ".rw2", ".rwl", ".rwz", ".sr2", ".srf", ".srw", ".x3f",
}  # fmt: skip
# Image files of unsupported types. They are listed as unreadable, not ignored, unless their content
# has a supported type.
NOT_READ = RAW | {
    ".bpg", ".dcm", ".dds", ".exr", ".fits", ".flif", ".hdp", ".hdr", ".j2c", ".j2k", ".jls",
    ".jng", ".jp2", ".jpc", ".jpf", ".jpm", ".jpx", ".jxl", ".jxr", ".mng", ".pam", ".pcx", ".pfm",
    ".psb", ".psd", ".qoi", ".ras", ".sgi", ".tga", ".wbmp", ".wdp", ".xcf",
}  # fmt: skip
NAMED = EXTENSIONS | HEIF | NOT_READ
# Vector graphics, documents and icons, which a training ignores.
DRAWINGS = {
    ".ai", ".cur", ".djvu", ".emf", ".eps", ".icns", ".ico", ".pdf", ".ps", ".svg", ".svgz", ".wmf",
}  # fmt: skip

HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs",
               b"mif1", b"msf1"}  # fmt: skip
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PNG_START = b"\x89PNG\r\n\x1a\n"
RAW_PHOTO = "raw photo"
# First bytes of each supported type.
READ: dict[str, tuple[bytes, ...]] = {
    "GIF": (b"GIF87a", b"GIF89a"),
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (PNG_START,),
    "TIFF": TIFF_STARTS,
}
# The two letters of a BMP or PNM may also start a text, so the next bytes are checked, too: the
# size of the header, or a number or comment.
BMP_HEADERS = {size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124)}
PNM = re.compile(rb"P[1-6]\s+[0-9#]")
# A camera's TIFF, by what follows the first 8 bytes; other TIFFs may have any pixels there.
RAW_TIFF = re.compile(rb"II\*\0\x10\0\0\0CR\x02|.{8}(IIII.waR|MMMMRaw)", re.DOTALL)  # CR2, IIQ
# First bytes of each unsupported type. The first match counts.
OTHERS: dict[str, tuple[bytes, ...]] = {
    RAW_PHOTO: (
        b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"II\x1a\0\0\0HEAPCCDR", b"IIRO", b"IIRS", b"MMOR",
        b"IIU\0", b"ARRIARRI",
    ),
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    "JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
    "JPEG XR": (b"II\xbc",),
    "Photoshop": (b"8BPS",),
    "OpenEXR": (b"\x76\x2f\x31\x01",),
    "Radiance": (b"#?RADIANCE", b"#?RGBE"),
    "PAM": (b"P7\n",),
    "PFM": (b"PF\n", b"Pf\n"),
    "DDS": (b"DDS ",),
    "SGI": (b"\x01\xda\0\1", b"\x01\xda\1\1"),
    "Sun raster": (b"\x59\xa6\x6a\x95",),
    "GIMP": (b"gimp xcf",),
    "XPM": (b"/* XPM */",),
    "FITS": (b"SIMPLE  =",),
    "FLIF": (b"FLIF",),
    "BPG": (b"BPG\xfb",),
    "QOI": (b"qoif",),
    "PCX": (b"\n\5\1\1", b"\n\5\1\x08", b"\n\3\1\1", b"\n\3\1\x08", b"\n\2\1\1"),
    "MNG": (b"\x8aMNG\r\n\x1a\n", b"\x8bJNG\r\n\x1a\n"),
}  # fmt: skip
DRAWN: dict[str, tuple[bytes, ...]] = {
    "PDF": (b"%PDF-",),
    "PostScript": (b"%!PS", b"\xc5\xd0\xd3\xc6"),
    "DjVu": (b"AT&TFORM",),
    "WMF": (b"\xd7\xcd\xc6\x9a",),
    "icon": (b"\0\0\1\0", b"\0\0\2\0", b"icns"),
}


def is_image_name(name: str) -> bool:
    """Return whether a file name has the extension of an image."""
    return Path(name).suffix.lower() in NAMED


def is_image(path: Path) -> bool:
    """Return whether a file is an image, by its name or its content."""
    if is_image_name(path.name):
        return True
    kind = kind_of(head_of(path))
    return bool(kind) and kind not in DRAWINGS_OF_CONTENT


def is_picture(path: Path) -> bool:
    """Return whether a file is an image or a drawing, by its name or its content."""
    has_extension = path.suffix.lower() in DRAWINGS or is_image_name(path.name)
    return has_extension or bool(kind_of(head_of(path)))


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file; empty for a pipe, or a file that cannot be read."""
    try:
        if not path.is_file():  # reading a pipe may block forever
            return b""
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def kind_of(head: bytes) -> str:
    """Return the type of an image file by its first bytes; "" if it is not an image."""
    for kinds in (OTHERS, READ, DRAWN):
        for kind, starts in kinds.items():
            if head.startswith(starts):
                return RAW_PHOTO if kind == "TIFF" and RAW_TIFF.match(head) else kind
    if head[:2] == b"BM" and head[14:18] in BMP_HEADERS:
        return "BMP"
    if PNM.match(head):
        return "PPM"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in (b"avif", b"avis"):
            return "AVIF"
        return RAW_PHOTO if brand == b"crx " else "HEIF" if is_heif(head) else ""
    if head[128:132] == b"DICM":
        return "DICOM"
    if head[40:44] == b" EMF":
        return "EMF"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<svg") or (start.startswith((b"<?xml", b"<!--")) and b"<svg" in start):
        return "SVG"
    return ""


DRAWINGS_OF_CONTENT = {*DRAWN, "SVG", "EMF"}


def is_heif(head: bytes) -> bool:
    """Return whether a file is a HEIC photo, by its first bytes."""
    return head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS
