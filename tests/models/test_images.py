"""Every picture is made here: the bad ones are refused by name, the odd ones come out right."""

import io
import struct
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from PIL import Image

from neardup.models.images import decode, thumbnail
from neardup.schemas.errors import BadEvent

RED, GREEN, BLUE = (220, 30, 30), (30, 220, 30), (30, 30, 220)


def quarters() -> Image.Image:
    """Red at the top left, green at the top right, blue below: no two orientations are alike."""
    image = Image.new("RGB", (80, 40), BLUE)
    image.paste(RED, (0, 0, 40, 20))
    image.paste(GREEN, (40, 0, 80, 20))
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def near(pixel: Any, colour: tuple[int, int, int], tolerance: int = 40) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, colour, strict=True))


def png(width: int, height: int, data: bytes) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_reads_each_format(kind: str) -> None:
    image = decode(encoded(quarters(), kind))
    assert (image.mode, image.size) == ("RGB", (80, 40))
    assert near(image.getpixel((10, 5)), RED)
    assert near(image.getpixel((70, 5)), GREEN)
    assert near(image.getpixel((40, 35)), BLUE)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_image"),
        (b"this is a text file that somebody named .jpg", "not_an_image"),
        (bytes(1000), "not_an_image"),
        (b"\xff\xd8\xff\xe0", "truncated_image"),
        (encoded(quarters(), "BMP"), "unsupported_format"),
        (encoded(quarters(), "TIFF"), "unsupported_format"),
        (b"%PDF-1.7 and so on", "unsupported_format"),
        (png(80, 40, b"no deflate stream"), "undecodable_image"),
    ],
)
def test_refuses_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(BadEvent) as bad:
        decode(data)
    assert bad.value.reason == reason
    assert bad.value.detail


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_cut_file_is_truncated(kind: str) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    for kept in (0.5, 0.9):
        with pytest.raises(BadEvent) as bad:
            decode(data[: int(len(data) * kept)])
        assert bad.value.reason == "truncated_image"


@pytest.mark.parametrize("side", [8_000, 20_000])
def test_a_bomb_is_refused_before_its_pixels_are_unpacked(side: int) -> None:
    # Its pixel data is no deflate stream: to unpack any of it would be another error.
    with pytest.raises(BadEvent) as bad:
        decode(png(side, side, b"no deflate stream"))
    assert bad.value.reason == "too_many_pixels"


def test_the_pixel_cap_is_the_callers() -> None:
    data = encoded(quarters())
    assert decode(data, max_pixels=3200).size == (80, 40)
    with pytest.raises(BadEvent, match="80 x 40"):
        decode(data, max_pixels=3199)


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_the_first_frame_stands_for_an_animation(kind: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in (RED, GREEN, BLUE)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
    assert near(decode(data).getpixel((16, 16)), RED)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_turned_upright(orientation: int, kind: str) -> None:
    # What a camera stores for each orientation: the inverse of what a viewer must do.
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = quarters()
    if orientation in stored:
        image = image.transpose(stored[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = decode(encoded(image, kind, exif=exif))
    assert upright.size == (80, 40)
    assert near(upright.getpixel((10, 5)), RED)
    assert near(upright.getpixel((70, 5)), GREEN)


def test_damaged_exif_does_not_cost_the_picture() -> None:
    data = encoded(quarters(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert decode(data).size == (80, 40)


def test_cmyk_keeps_its_colours() -> None:
    image = decode(encoded(Image.new("RGB", (16, 16), RED).convert("CMYK"), "JPEG"))
    assert image.mode == "RGB"
    assert near(image.getpixel((8, 8)), RED)


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    image = np.asarray(decode(encoded(Image.fromarray(ramp))))
    assert np.abs(image[..., 0].astype(int) - (ramp >> 8)).max() <= 1
    assert 120 < image.mean() < 135


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGBA", (16, 16), (0, 0, 0, 0)),
        Image.new("LA", (16, 16), (0, 0)),
        Image.new("RGBA", (16, 16), (0, 0, 0, 0)).quantize(),
    ],
    ids=["RGBA", "LA", "palette"],
)
def test_transparent_is_white(image: Image.Image) -> None:
    assert decode(encoded(image)).getpixel((8, 8)) == (255, 255, 255)


def test_half_transparent_is_mixed_with_white() -> None:
    data = encoded(Image.new("RGBA", (16, 16), (0, 0, 0, 128)))
    assert near(decode(data).getpixel((8, 8)), (127, 127, 127), 2)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_other_modes_become_rgb(mode: str) -> None:
    image = decode(encoded(Image.new("L", (16, 16), 255).convert(mode)))
    assert image.mode == "RGB"
    assert image.getpixel((8, 8)) == (255, 255, 255)


def test_a_transparent_grey_level_is_honoured() -> None:
    data = encoded(Image.new("L", (16, 16), 7), transparency=7)
    assert decode(data).getpixel((8, 8)) == (255, 255, 255)


def test_thumbnail_fits_and_leaves_the_picture_alone() -> None:
    image = quarters()
    small = Image.open(io.BytesIO(thumbnail(image, 20)))
    assert (small.format, small.size) == ("JPEG", (20, 10))
    assert image.size == (80, 40)


def test_random_bytes_cost_only_themselves() -> None:
    rng = np.random.default_rng(11)
    good = [encoded(quarters(), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF")]
    for _ in range(300):
        data = bytearray(good[rng.integers(len(good))])
        for at in rng.integers(0, len(data), rng.integers(1, 12)):
            data[at] = rng.integers(256)
        with suppress(BadEvent):
            assert decode(bytes(data), max_pixels=10_000).mode == "RGB"
