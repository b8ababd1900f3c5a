"""`neardup bench commits`: a day of micro-batches, as far as their commits go.

20,000 small batches in a row, each a commit to `pins` and one to `clusters`, with the stream's own
maintenance beside them. What a batch costs must not grow with how many there were.
"""

import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from neardup.benchmarks.figures import Figure, compared, figure
from neardup.benchmarks.smoke import pin_row
from neardup.schemas.lake import Lake
from neardup.schemas.tables import CLUSTERS, PINS
from neardup.streaming.maintenance import Maintenance

BATCHES = 20_000
PINS_EACH = 20
WARM = 100
MAINTENANCE_SECONDS = 60.0


def run(quick: bool, seed: int) -> list[Figure]:
    """Seconds of the last twentieth of the commits beside the first; what grew. No chance in it."""
    n = 2_000 if quick else BATCHES
    part = n // 20
    every = MAINTENANCE_SECONDS * n / BATCHES if quick else MAINTENANCE_SECONDS
    with tempfile.TemporaryDirectory(prefix="neardup-commits-") as directory:
        path = Path(directory) / "lake"
        seconds, opened = committed(path, n, every)
        files, logs = counted(path)
    seconds = seconds[WARM:]
    first, last = seconds[:part], seconds[-part:]
    worst = float(np.percentile(last, 99) / median(last))
    row = compared(
        "commits of a batch at the end of the day",
        "ms",
        [1e3 * s for s in last],
        "at its begin",
        [1e3 * s for s in first],
        target="ratio <= 1.2, p99 <= 3 times the median",
        quality=f"{part:,} batches at each end of {n:,}; p99 is {worst:.1f} times the median, of "
        f"the first {np.percentile(first, 99) / median(first):.1f}; beside it maintenance every "
        f"{every:g} s",
    )
    assert row.ratio is not None
    row.met = None if quick else row.ratio <= 1.2 and worst <= 3
    return [
        row,
        compared("... opening the lake afterwards", "s", [opened[1]], "before", [opened[0]]),
        figure("... files of data in `pins` and `clusters`", "files", [files], quality=logs),
    ]


def committed(path: Path, n: int, every: float) -> tuple[list[float], tuple[float, float]]:
    """Seconds of each batch's commits; of opening the lake before and after them."""
    lake = Lake.create(path)
    before = opening(path)
    rows = pa.Table.from_pylist([pin_row(i) for i in range(PINS_EACH)], schema=PINS.schema)
    members = pa.Table.from_pylist([member(i) for i in range(PINS_EACH)], schema=CLUSTERS.schema)
    seconds = []
    with Maintenance(path, every, lambda lake: None):
        for _ in tqdm(range(n), desc="committing", unit=" batches"):
            begin = time.perf_counter()
            lake.append("pins", rows)
            lake.append("clusters", members)
            seconds.append(time.perf_counter() - begin)
    Lake(path).maintain()
    return seconds, (before, opening(path))


def member(i: int) -> dict[str, object]:
    return {
        "pin_id": f"pin-{i}",
        "ordinal": i,
        "cluster_id": i,
        "head": f"pin-{i}",
        "head_ordinal": i,
        "generation": 0,
        "batch_seq": 0,
    }


def opening(path: Path) -> float:
    begin = time.perf_counter()
    Lake(path)
    return time.perf_counter() - begin


def counted(path: Path) -> tuple[int, str]:
    """Files that the newest snapshots name, and the logs in a sentence."""
    files, lines, size = 0, 0, 0
    for name in ("pins", "clusters"):
        files += len(Lake(path).table(name).file_uris())
        for log in (path / name / "_delta_log").iterdir():
            lines, size = lines + 1, size + log.stat().st_size
    return files, f"the logs: {lines:,} files of {size / 2**20:.0f} MiB"
