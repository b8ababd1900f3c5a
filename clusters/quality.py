"""How well one partition agrees with another: over pairs, and B-cubed over pins; and its churn."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neardup.clusters.ascending import among

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Agreement:
    """Precision, recall and their harmonic mean, each 0 to 1; ``ari`` is 1 at best.

    Pairs: of the pairs together in the one, the share together in the other. B-cubed (Bagga,
    Baldwin 1998): the same for each pin's own cluster, averaged over pins. ``ari``: the adjusted
    Rand index (Hubert, Arabie 1985), 0 for what chance would give.
    """

    pair_precision: float
    pair_recall: float
    b3_precision: float
    b3_recall: float
    ari: float

    @property
    def pair_f1(self) -> float:
        return _f1(self.pair_precision, self.pair_recall)

    @property
    def b3_f1(self) -> float:
        return _f1(self.b3_precision, self.b3_recall)


@dataclass(frozen=True)
class Churn:
    """What a new partition changes.

    ``moved``: pins under another id; ``split``: old clusters whose pins are now in several;
    ``merged``: new clusters with pins of several old ones.
    """

    moved: int
    split: int
    merged: int


def agreement(found: Labels, truth: Labels) -> Agreement:
    """How well ``found`` int64 [n] agrees with ``truth`` int64 [n]; labels are arbitrary.

    Without any pair together, the share of wrong ones is 0 and so the figure is 1.
    """
    return _agreement(_cells(found, truth), len(found))


def drift(before: Labels, after: Labels) -> tuple[Agreement, Churn]:
    """How well the clusters ``before`` int64 [n], ids, agree with ``after``, and what changed."""
    cells = _cells(before, after)
    changes = Churn(
        moved=int((before != after).sum()),
        split=int((np.bincount(cells.found) > 1).sum()),
        merged=int((np.bincount(cells.truth) > 1).sum()),
    )
    return _agreement(cells, len(before)), changes


def _agreement(cells: "_Cells", n: int) -> Agreement:
    if not n:
        return Agreement(1.0, 1.0, 1.0, 1.0, 1.0)
    both, of_found, of_truth = cells.both, cells.of_found[cells.found], cells.of_truth[cells.truth]
    together, in_found, in_truth = (
        _pairs(sizes) for sizes in (both, cells.of_found, cells.of_truth)
    )
    return Agreement(
        pair_precision=together / in_found if in_found else 1.0,
        pair_recall=together / in_truth if in_truth else 1.0,
        b3_precision=float((both / of_found * both).sum() / n),
        b3_recall=float((both / of_truth * both).sum() / n),
        ari=_adjusted(together, in_found, in_truth, n * (n - 1) // 2),
    )


@dataclass(frozen=True)
class _Cells:
    """The table of two partitions without its zeros, labels numbered from 0."""

    found: Labels
    truth: Labels
    both: Labels
    of_found: Labels
    of_truth: Labels


def _cells(found: Labels, truth: Labels) -> _Cells:
    """Clusters that are the same in both, by label too, are counted without weighing their pins."""
    differ = found != truth
    names = np.union1d(found[differ], truth[differ])
    changed = among(names, found)  # where labels differ both are named, elsewhere they are equal
    _, same = np.unique(found[~changed], return_counts=True)
    _, one, of_found = np.unique(found[changed], return_inverse=True, return_counts=True)
    _, other, of_truth = np.unique(truth[changed], return_inverse=True, return_counts=True)
    keys, both = np.unique(one * len(of_truth) + other, return_counts=True)
    row, column = np.divmod(keys, max(len(of_truth), 1))
    return _Cells(
        np.append(row, len(of_found) + np.arange(len(same))),
        np.append(column, len(of_truth) + np.arange(len(same))),
        np.append(both, same),
        np.append(of_found, same),
        np.append(of_truth, same),
    )


def _pairs(sizes: Labels) -> int:
    return int((sizes * (sizes - 1) // 2).sum())


def _adjusted(together: int, in_found: int, in_truth: int, pairs: int) -> float:
    expected = in_found * in_truth / pairs if pairs else 0.0
    most = (in_found + in_truth) / 2
    return (together - expected) / (most - expected) if most != expected else 1.0


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
