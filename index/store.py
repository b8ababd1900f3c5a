"""Signatures, looks and pin ids by ordinal, in memory-mapped files that grow.

The driver needs a few signatures (of samples, of a repeated pin) and pin ids (of moved pins) at
random ordinals. They are a copy of what the log holds, so the files are made anew at each start.
Cost per pin: 128 bytes of signature, 24 of looks, 8 of offset, and the id itself, all in the page
cache.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from neardup.models.looks import LOOKS_BYTES, Looks
from neardup.schemas.errors import EnvironmentProblem

SIGNATURE_BYTES = 128


def stacked(signatures: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    """Signatures as tables hold them, 128 bytes each, as one array uint8 [n, 128]."""
    return np.frombuffer(b"".join(signatures), np.uint8).reshape(-1, SIGNATURE_BYTES)


def signatures_of(column: pa.Array) -> npt.NDArray[np.uint8]:
    """As ``stacked``, of a column of binary without nulls; no copy is made."""
    return _flat(column.cast(pa.large_binary()))[1].reshape(-1, SIGNATURE_BYTES)


def looks_of(column: pa.Array | Sequence[bytes | None]) -> Looks:
    """Looks uint8 [n, 24] as tables hold them; all zero where there are none."""
    column = column if isinstance(column, pa.Array) else pa.array(column, pa.binary())
    filled = pc.fill_null(column, bytes(LOOKS_BYTES)).cast(pa.large_binary())
    return _flat(filled)[1].reshape(-1, LOOKS_BYTES)


def _flat(column: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Of a large string or binary column: where each value ends, int64 [n], and all their bytes."""
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    whole = np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]]
    return bounds[1:] - bounds[0], whole


def reserve(file: BinaryIO, size: int) -> None:
    """Make a file ``size`` bytes long, all of them on the disk: whoever writes into a mapped file
    that has none there when the disk is full is ended by SIGBUS.

    Raises EnvironmentProblem if there is no room.
    """
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
    except OSError as error:
        raise EnvironmentProblem(
            f"{file.name} needs {size:,} bytes ({error.strerror}): free some space there, or set "
            "TMPDIR to a folder on a larger disk. Nothing is lost."
        ) from error


class GrowingArray:
    """Rows of one dtype and width in a memory-mapped file; appending doubles the file when full."""

    def __init__(self, path: Path, dtype: npt.DTypeLike, width: int = 1) -> None:
        self._path = path
        self._dtype = np.dtype(dtype)
        self._width = width
        self._n = 0
        self._rows = self._map(1024)

    def _map(self, rows: int) -> npt.NDArray[np.generic]:
        with self._path.open("ab") as file:
            reserve(file, rows * self._width * self._dtype.itemsize)
        # a plain array over the map: the memmap class costs microseconds at every slice
        return np.asarray(np.memmap(self._path, self._dtype, "r+", shape=(rows, self._width)))

    def __len__(self) -> int:
        return self._n

    def extend(self, rows: npt.NDArray[np.generic]) -> None:
        """Append ``rows`` [m, width]."""
        end = self._n + len(rows)
        if end > len(self._rows):
            self._rows = self._map(max(end, 2 * len(self._rows)))
        self._rows[self._n : end] = rows
        self._n = end

    @property
    def rows(self) -> npt.NDArray[np.generic]:
        """All rows so far, [n, width]; a view that the next growth does not follow."""
        return self._rows[: self._n]


class PinStore:
    """The signature uint8 [128], the looks uint8 [24] and the id of every pin version, by ordinal.

    One thread extends it; others may read beside it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._signatures = GrowingArray(directory / "signatures", np.uint8, SIGNATURE_BYTES)
        self._looks = GrowingArray(directory / "looks", np.uint8, LOOKS_BYTES)
        self._offsets = GrowingArray(directory / "id-offsets", np.int64)
        self._offsets.extend(np.zeros((1, 1), np.int64))
        self._ids = GrowingArray(directory / "ids", np.uint8)

    def __len__(self) -> int:
        return len(self._signatures)

    def extend(
        self,
        pin_ids: Sequence[str] | pa.Array,
        signatures: npt.NDArray[np.uint8],
        looks: Looks | None = None,
    ) -> None:
        """Append pins whose ordinals follow those already here; signatures uint8 [n, 128].

        ``looks`` uint8 [n, 24], all zero where there are none; None: there are none at all.
        """
        ids = pin_ids if isinstance(pin_ids, pa.Array) else pa.array(pin_ids, pa.large_string())
        ends, encoded = _flat(ids.cast(pa.large_string()))
        ends = ends + len(self._ids)
        self._ids.extend(encoded[:, None])
        self._offsets.extend(ends[:, None])
        none = np.zeros((len(signatures), LOOKS_BYTES), np.uint8)
        self._looks.extend(none if looks is None else looks)
        self._signatures.extend(signatures)  # last: whoever reads beside it sees whole pins

    def pin_id(self, ordinal: int) -> str:
        begin, end = self._offsets.rows[ordinal : ordinal + 2, 0].tolist()
        return bytes(self._ids.rows[begin:end, 0]).decode("utf-8")

    def pin_ids(self, ordinals: npt.NDArray[np.int64]) -> pa.Array:
        """The ids of pins, an Arrow array of strings [n]."""
        buffers = [None, pa.py_buffer(self._offsets.rows), pa.py_buffer(self._ids.rows)]
        every = pa.Array.from_buffers(pa.large_string(), len(self), buffers)
        return every.take(pa.array(ordinals)).cast(pa.string())

    def signatures(self, ordinals: npt.NDArray[np.int64] | slice) -> npt.NDArray[np.uint8]:
        """Signatures uint8 [n, 128] at these ordinals."""
        rows: npt.NDArray[np.uint8] = self._signatures.rows[ordinals]  # type: ignore[assignment]
        return rows

    def looks(self, ordinals: npt.NDArray[np.int64]) -> Looks:
        """Looks uint8 [n, 24] at these ordinals."""
        rows: Looks = self._looks.rows[ordinals]  # type: ignore[assignment]
        return rows
