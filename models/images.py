"""From the bytes of a picture to upright RGB pixels, with nothing trusted on the way."""

import io
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from neardup.schemas.errors import BadEvent

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")

# First bytes (after `skip` others) of what people send under a wrong name. Asking Pillow would
# run the parsers that the list of formats keeps shut.
OTHER_FORMATS = (
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (4, b"ftypavi", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"%PDF-", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"<svg", "SVG"),
)

# EXIF orientation -> what turns the stored pixels upright (CIPA DC-008, tag 0x0112).
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION = 0x0112


def decode(data: bytes, *, max_pixels: int = 50_000_000) -> Image.Image:
    """The picture in RGB, upright, its first frame if it moves, on white if it is transparent.

    JPEG, PNG, WebP and GIF are read. The size is checked before any pixel is decoded; Pillow's own
    cap of 178,956,970 pixels stands above ``max_pixels``. Raises BadEvent with reason empty_image,
    not_an_image, unsupported_format, truncated_image, too_many_pixels or undecodable_image.
    """
    if not data:
        raise BadEvent("empty_image", "0 bytes")
    with warnings.catch_warnings():
        # Pillow warns of large pictures and odd metadata; both are judged here.
        warnings.simplefilter("ignore")
        image = _open(data)
        if image.width * image.height > max_pixels:
            raise BadEvent(
                "too_many_pixels", f"{image.width} x {image.height}; {max_pixels} are allowed"
            )
        try:
            image.load()
            return _upright(image, _rgb(image))
        except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, EOFError...
            raise _undecodable(data, error) from None


def thumbnail(image: Image.Image, longest_px: int) -> bytes:
    """A JPEG of the picture with its longest side at most ``longest_px``."""
    small = image.copy()
    small.thumbnail((longest_px, longest_px))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise BadEvent("too_many_pixels", str(error)) from None
    except UnidentifiedImageError as error:
        raise _unidentified(data, error) from None
    except Exception as error:
        raise _undecodable(data, error) from None


def _unidentified(data: bytes, error: Exception) -> BadEvent:
    if _end_mark(data) is not None:
        return _undecodable(data, error)
    for skip, mark, name in OTHER_FORMATS:
        if data.startswith(mark, skip):
            return BadEvent("unsupported_format", f"{name}; send JPEG, PNG, WebP or GIF")
    return BadEvent("not_an_image", f"{len(data)} bytes that begin with {data[:16]!r}")


def _undecodable(data: bytes, error: Exception) -> BadEvent:
    mark = _end_mark(data)
    if mark is not None and not mark:
        return BadEvent("truncated_image", f"{len(data)} bytes without the end of a picture")
    return BadEvent("undecodable_image", str(error) or type(error).__name__)


def _end_mark(data: bytes) -> bool | None:
    """Whether the bytes reach the end that their format promises; None for another format."""
    if data.startswith(b"\xff\xd8\xff"):
        return b"\xff\xd9" in data[-64:]
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"IEND" in data[-64:]
    if data.startswith((b"GIF87a", b"GIF89a")):
        return data.rstrip(b"\0").endswith(b";")
    if data.startswith(b"RIFF") and data.startswith(b"WEBP", 8):
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return None


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    """The upper byte of each value: Pillow's own conversion clips at 255, which is white."""
    values = np.asarray(image).astype(np.int64)
    return Image.fromarray((values >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")


def _upright(image: Image.Image, rgb: Image.Image) -> Image.Image:
    try:
        turn = UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged metadata does not make the picture unreadable
        turn = None
    return rgb if turn is None else rgb.transpose(turn)
