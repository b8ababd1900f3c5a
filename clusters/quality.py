"""How well one partition agrees with another: over pairs, and B-cubed over pins."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Agreement:
    """Precision, recall and their harmonic mean, each 0 to 1.

    Pairs: of the pairs together in the one, the share together in the other. B-cubed (Bagga,
    Baldwin 1998): the same for each pin's own cluster, averaged over pins.
    """

    pair_precision: float
    pair_recall: float
    b3_precision: float
    b3_recall: float

    @property
    def pair_f1(self) -> float:
        return _f1(self.pair_precision, self.pair_recall)

    @property
    def b3_f1(self) -> float:
        return _f1(self.b3_precision, self.b3_recall)


def agreement(found: Labels, truth: Labels) -> Agreement:
    """How well ``found`` int64 [n] agrees with ``truth`` int64 [n]; labels are arbitrary.

    Without any pair together, the share of wrong ones is 0 and so the figure is 1.
    """
    if not len(found):
        return Agreement(1.0, 1.0, 1.0, 1.0)
    cells, both = np.unique(np.stack([found, truth], axis=1), axis=0, return_counts=True)
    of_found = _sizes(found, cells[:, 0])
    of_truth = _sizes(truth, cells[:, 1])
    together = _pairs(both).sum()
    in_found = _pairs(np.unique(found, return_counts=True)[1]).sum()
    in_truth = _pairs(np.unique(truth, return_counts=True)[1]).sum()
    return Agreement(
        pair_precision=float(together / in_found) if in_found else 1.0,
        pair_recall=float(together / in_truth) if in_truth else 1.0,
        b3_precision=float((both * both / of_found).sum() / len(found)),
        b3_recall=float((both * both / of_truth).sum() / len(found)),
    )


def _sizes(labels: Labels, wanted: Labels) -> Labels:
    names, sizes = np.unique(labels, return_counts=True)
    return sizes[np.searchsorted(names, wanted)]


def _pairs(sizes: Labels) -> Labels:
    return sizes * (sizes - 1) // 2


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
