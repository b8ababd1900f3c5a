"""What people do to a picture before they post it again: the catalogue of edits.

Every edit takes a picture (RGB), a strength from 0 (hardly seen) to 1 (the strongest that still
counts as the same picture) and a generator for what is left to chance, and returns a new picture.
The hasher and the classifier learn from these; the demo makes its known truth with them.
"""

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

Edit = Callable[[Image.Image, float, Generator], Image.Image]

WORDS = ("when it is monday again", "so true", "best day ever", "SALE -30 %", "mood", "wait for it")
SHAPES = (1.0, 1.0, 4 / 3, 3 / 2, 16 / 9, 3.0)


def edit(image: Image.Image, name: str, strength: float, rng: Generator) -> Image.Image:
    """The picture after edit ``name`` of EDITS at ``strength`` 0 to 1.

    The same generator state gives the same picture. Raises KeyError for an unknown name and
    ValueError for a strength outside 0 to 1.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength {strength} is not between 0 and 1")
    return EDITS[name](image, strength, rng)


def recompress(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Save as JPEG of quality 90 down to 12."""
    return _encoded(image, quality=_between(90, 12, strength))


def resize(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Scale down to 90 % or as far as a thumbnail of 20 % of each side."""
    factor = 0.9 - 0.7 * strength
    return _scaled(image, factor, factor)


def crop(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Cut margins off: 95 % down to 50 % of the area is kept, anywhere in the picture."""
    side = (0.95 - 0.45 * strength) ** 0.5
    return _cut(image, side, side, rng)


def banner(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Keep a strip of 90 % down to 40 % of one side and the whole of the other."""
    kept = 0.9 - 0.5 * strength
    return _cut(image, 1.0, kept, rng) if rng.random() < 0.75 else _cut(image, kept, 1.0, rng)


def stretch(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Change the aspect ratio by 5 % up to 60 %."""
    factor = 1.05 + 0.55 * strength
    return _scaled(image, 1 / factor, 1.0) if rng.random() < 0.5 else _scaled(image, 1, 1 / factor)


def thumbnail(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """The middle cut to a website's shape, 1:1 up to 3:1, and scaled to 160 down to 40 px."""
    shape = float(rng.choice(SHAPES))
    across = min(1.0, shape * image.height / image.width)
    down = min(1.0, image.width / shape / image.height)
    width, height = max(1, round(image.width * across)), max(1, round(image.height * down))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    middle = image.crop((left, top, left + width, top + height))
    factor = min(1.0, _between(160, 40, strength) / max(width, height))
    return _scaled(middle, factor, factor)


def colour(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Brightness, contrast and saturation, each by up to 50 %."""
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(1 + rng.choice((-1, 1)) * (0.05 + 0.45 * strength))
    return image


def exposure(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Darker or brighter by a gamma of 1.1 up to 2.5."""
    gamma = (1.1 + 1.4 * strength) ** float(rng.choice((-1, 1)))
    return image.point([round(255 * (value / 255) ** gamma) for value in range(256)] * 3)


def tint(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """A photo filter: blend with one colour, up to 35 %."""
    return Image.blend(image, Image.new("RGB", image.size, _colour(rng)), 0.05 + 0.3 * strength)


def grey(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Fade to grey, halfway up to wholly."""
    return Image.blend(image, image.convert("L").convert("RGB"), 0.5 + 0.5 * strength)


def blur(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Gaussian blur of a radius of .2 % up to 1.5 % of the longest side."""
    return image.filter(ImageFilter.GaussianBlur((0.002 + 0.013 * strength) * max(image.size)))


def focus(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Another plane in focus: one side blurred, by .5 % up to 2.5 % of the longest side."""
    radius = (0.005 + 0.02 * strength) * max(image.size)
    blurred = image.filter(ImageFilter.GaussianBlur(radius))
    slope = Image.linear_gradient("L").rotate(90 * int(rng.integers(0, 4)))
    return Image.composite(image, blurred, slope.resize(image.size))


def sharpen(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Unsharp mask of 50 % up to 300 %."""
    return image.filter(ImageFilter.UnsharpMask(2, _between(50, 300, strength), 2))


def noise(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Gaussian noise with a deviation of 3 up to 30 of 255."""
    pixels = np.asarray(image, np.float32)
    pixels = pixels + rng.normal(0, 3 + 27 * strength, pixels.shape).astype(np.float32)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def posterise(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Save with a palette of 128 down to 8 colours."""
    return image.quantize(_between(128, 8, strength)).convert("RGB")


def caption(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """A line of text over the picture, 6 % up to 16 % of its height."""
    image = image.copy()
    height = max(6, round((0.06 + 0.1 * strength) * image.height))
    top = round(rng.choice((0.03, 0.97 - height / image.height)) * image.height)
    _write(image, (0, top, image.width, top + height), rng, stroke=max(1, height // 12))
    return image


def border(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """A frame of one colour, 2 % up to 12 % of the longest side."""
    width = max(1, round((0.02 + 0.1 * strength) * max(image.size)))
    return _on_canvas(image, (width, width, width, width), _colour(rng))


def meme(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Bars with text above, and for the stronger half below, 12 % up to 25 % of the height."""
    bar = max(8, round((0.12 + 0.13 * strength) * image.height))
    below = bar if strength > 0.5 else 0
    framed = _on_canvas(image, (0, bar, 0, below), (255, 255, 255))
    _write(framed, (0, 0, framed.width, bar), rng, fill=(0, 0, 0))
    if below:
        _write(framed, (0, framed.height - bar, framed.width, framed.height), rng, fill=(0, 0, 0))
    return framed


def screenshot(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """On the screen of an app: a bar above, one below, margins; 10 % up to 35 % of the height."""
    bars = max(2, round((0.1 + 0.25 * strength) * image.height))
    above, side = round(bars * rng.uniform(0.3, 0.7)), round(0.02 * image.width)
    dark = rng.random() < 0.5
    back, ink = ((18, 18, 18), (235, 235, 235)) if dark else ((250, 250, 250), (20, 20, 20))
    screen = _on_canvas(image, (side, above, side, bars - above), back)
    _write(screen, (0, 0, screen.width // 2, max(1, above)), rng, fill=ink)
    _write(screen, (0, above + image.height, screen.width, screen.height), rng, fill=ink)
    return screen


def pasted(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Laid on another picture (its own blur, or a cloud of colours), 95 % down to 75 % wide."""
    if rng.random() < 0.5:
        behind = image.filter(ImageFilter.GaussianBlur(max(image.size) / 20))
    else:
        cloud = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        behind = cloud.resize(image.size, Image.Resampling.BICUBIC)
    kept = 0.95 - 0.2 * strength
    small = _scaled(image, kept, kept)
    left = int(rng.integers(0, image.width - small.width + 1))
    top = int(rng.integers(0, image.height - small.height + 1))
    behind.paste(small, (left, top))
    return behind


def rotate(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Turn by 1 up to 15 degrees either way; the corners are filled, nothing is cut off."""
    degrees = (1 + 14 * strength) * float(rng.choice((-1, 1)))
    return image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=_colour(rng))


def flip(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Mirror left and right; there is no half of it, so the strength changes nothing."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def overlay(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """A sticker over 3 % up to 15 % of the area."""
    image = image.copy()
    side = (0.03 + 0.12 * strength) ** 0.5
    width, height = max(1, round(side * image.width)), max(1, round(side * image.height))
    left = int(rng.integers(0, image.width - width + 1))
    top = int(rng.integers(0, image.height - height + 1))
    box = (left, top, left + width, top + height)
    draw = ImageDraw.Draw(image)
    shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
    shape(box, fill=_colour(rng))
    _write(image, box, rng)
    return image


def emoji(image: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """One up to four round faces, each 10 % up to 25 % of the shorter side across."""
    image = image.copy()
    draw = ImageDraw.Draw(image)
    across = max(3.0, (0.1 + 0.15 * strength) * min(image.size))
    for _ in range(_between(1, 4, strength)):
        x, y = (rng.uniform(0, max(0.0, side - across)) for side in image.size)
        draw.ellipse((x, y, x + across, y + across), fill=(255, 205, 60), outline=(120, 80, 0))
        for eye in (0.3, 0.62):
            low, high = across * eye, across * (eye + 0.1)
            draw.ellipse((x + low, y + across * 0.3, x + high, y + across * 0.45), fill=(60, 40, 0))
        mouth = (x + across * 0.25, y + across * 0.4, x + across * 0.75, y + across * 0.8)
        draw.arc(mouth, 20, 160, fill=(60, 40, 0), width=max(1, round(across / 15)))
    return image


EDITS: Mapping[str, Edit] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            *(recompress, resize, thumbnail, crop, banner, stretch, colour, exposure, tint, grey),
            *(blur, focus, sharpen, noise, posterise, caption, border, meme, screenshot, pasted),
            *(rotate, flip, overlay, emoji),
        )
    }
)
"""Every edit by its name."""


def _between(weak: int, strong: int, strength: float) -> int:
    return round(weak + (strong - weak) * strength)


def _encoded(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def _scaled(image: Image.Image, across: float, down: float) -> Image.Image:
    size = max(1, round(image.width * across)), max(1, round(image.height * down))
    return image.resize(size, Image.Resampling.BICUBIC)


def _cut(image: Image.Image, across: float, down: float, rng: Generator) -> Image.Image:
    width, height = max(1, round(image.width * across)), max(1, round(image.height * down))
    left = int(rng.integers(0, image.width - width + 1))
    top = int(rng.integers(0, image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def _colour(rng: Generator) -> tuple[int, int, int]:
    """Black and white, as people choose them most, else any colour."""
    if rng.random() < 0.6:
        return (0, 0, 0) if rng.random() < 0.5 else (255, 255, 255)
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue


def _on_canvas(
    image: Image.Image, margins: tuple[int, int, int, int], fill: tuple[int, int, int]
) -> Image.Image:
    left, above, right, below = margins
    size = image.width + left + right, image.height + above + below
    canvas = Image.new("RGB", size, fill)
    canvas.paste(image, (left, above))
    return canvas


def _write(
    image: Image.Image,
    box: tuple[int, int, int, int],
    rng: Generator,
    fill: tuple[int, int, int] = (255, 255, 255),
    stroke: int = 0,
) -> None:
    """Words in the middle of ``box``, made small enough to fit into it."""
    left, top, right, bottom = box
    words = str(rng.choice(WORDS))
    size = max(5.0, min(0.8 * (bottom - top), 1.7 * (right - left) / len(words)))
    ImageDraw.Draw(image).text(
        ((left + right) / 2, (top + bottom) / 2),
        words,
        fill=fill,
        font=ImageFont.load_default(size),
        anchor="mm",
        stroke_width=stroke,
        stroke_fill=(0, 0, 0),
    )
