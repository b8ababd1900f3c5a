"""What got worse: figures of now beside those of the results file, by their ratios to a peer.

Machines differ and are noisy; a ratio to a peer of the same run holds from one to the next.
"""

from collections.abc import Iterable

from neardup.benchmarks.figures import Figure

TOLERANCE = 1.3
"""A ratio may be so many times worse and still be noise."""


def worse(stored: Iterable[Figure], measured: Iterable[Figure]) -> list[str]:
    """A sentence for each figure whose ratio is worse than the stored one beyond TOLERANCE."""
    before = {(row.bench, row.figure): row.ratio for row in stored}
    sentences = []
    for row in measured:
        old = before.get((row.bench, row.figure))
        if not row.ratio or not old:
            continue
        change = old / row.ratio if _more_is_better(row) else row.ratio / old
        if change > TOLERANCE:
            sentences.append(
                f"worse: {row.bench}: {row.figure}: ratio to {row.peer} {row.ratio:.3g}, "
                f"stored {old:.3g}"
            )
    return sentences


def _more_is_better(row: Figure) -> bool:
    """Rates are; times and sizes are not."""
    return row.unit.endswith("/s") or row.unit == "of 1"
