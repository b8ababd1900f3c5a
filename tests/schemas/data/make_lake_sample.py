"""Writes a small lake of the format that the code at hand has, as a zip file.

``python tests/schemas/data/make_lake_sample.py FILE.zip`` from the root.
It runs at any commit since format 2; ``lake-format-2.zip`` was written by it at a52f215, the last
one of that format. A stored sample is never written anew: its bytes are what that code wrote.
"""

import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from neardup.index.ids import id_hashes  # noqa: E402
from neardup.index.plans import ensure_plan  # noqa: E402
from neardup.index.segment import SegmentName, build_segment  # noqa: E402
from neardup.index.store import stacked  # noqa: E402
from neardup.schemas.lake import Lake  # noqa: E402
from tests.lakes import garden  # noqa: E402


def add_segment(lake: Lake) -> None:
    """The first two pins of the garden in a segment; the others stay in the memtable."""
    import numpy as np
    import pyarrow.dataset as ds

    rows = lake.read("pins", None, ds.field("ordinal") < 2).sort_by("ordinal").to_pylist()
    ordinals = np.arange(2)
    signatures = stacked([row["signature"] for row in rows])
    hashes = id_hashes([row["pin_id"] for row in rows])
    built = build_segment((0, 2), ordinals, signatures, hashes, ordinals, ensure_plan(lake))
    first, end = SegmentName.of(built.segment_id)[:2]
    named = {"segment_id": built.segment_id, "first_ordinal": first, "end_ordinal": end}
    lake.append_rows(
        "segments",
        [{**named, "block": name, "payload": payload} for name, payload in built.blocks.items()],
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        (folder / "store").mkdir()
        add_segment(garden(folder / "lake", folder / "store"))
        with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted((folder / "lake").rglob("*")):
                if file.is_file():
                    archive.write(file, file.relative_to(folder / "lake"))


if __name__ == "__main__":
    main()
