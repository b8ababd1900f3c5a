"""Two events that a stream must survive: one that takes for ever, and a codec that crashes.

The first is a real picture. For the second no picture is known that crashes a current Pillow, so
the workers' Python gets a faulty GIF codec through Pillow's own registry, as any plugin would: a
real fault of the memory in the real process. Nothing of this system is replaced.
"""

import io
import struct
from pathlib import Path

from PIL import Image

SIDE = 6000
"""Pixels: within the default limit of 50 million."""


def slow_jpeg(scans: int, side: int = SIDE) -> bytes:
    """A grey progressive JPEG that says again and again that there is nothing more to say.

    Each scan is 60 bytes and visits every block of the picture, 2 ms: the 3 MB that an event may
    carry keep a decoder busy for two minutes (ITU-T T.81, G.1.2; known as a bomb of scans).
    """
    blocks = ((side + 7) // 8) ** 2
    frame = struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0])
    # one code each, of one bit: DC size 0, and AC "end of band, run of 2^14 blocks and more"
    tables = bytes([0x00, 1, *[0] * 15, 0x00]) + bytes([0x10, 1, *[0] * 15, 0xE0])
    head = b"\xff\xd8" + _part(0xDB, b"\0" + b"\1" * 64) + _part(0xC2, frame)
    first = _part(0xDA, bytes([1, 1, 0x00, 0, 0, 0])) + _bits("0" * blocks)
    again = _part(0xDA, bytes([1, 1, 0x00, 1, 63, 0])) + _bits(_runs(blocks))
    return head + _part(0xC4, tables) + first + again * scans + b"\xff\xd9"


def _runs(blocks: int) -> str:
    """Runs of 2^14 to 2^15 - 1 blocks that end at once, over all blocks and a little beyond."""
    runs = -(-blocks // (2**15 - 1))
    return ("0" + "1" * 14) * runs


def _part(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body


def _bits(bits: str) -> bytes:
    padded = bits + "1" * (-len(bits) % 8)
    data = int(padded, 2).to_bytes(len(padded) // 8, "big")
    return data.replace(b"\xff", b"\xff\0")


FAULTY_CODEC = '''\
"""Run by every Python that has this folder on its path: a GIF codec that reads wild memory."""
import ctypes

from PIL import Image, ImageFile


class Faulty(ImageFile.PyDecoder):
    def decode(self, buffer):
        ctypes.string_at(1)


Image.register_decoder("gif", Faulty)
'''


def faulty_codec(folder: Path) -> Path:
    """A folder for PYTHONPATH that installs the codec."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(FAULTY_CODEC, "utf-8")
    return folder


def gif() -> bytes:
    """An innocent GIF."""
    buffer = io.BytesIO()
    Image.new("P", (32, 32)).save(buffer, "GIF")
    return buffer.getvalue()
