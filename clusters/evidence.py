"""Evidence that two pins show the same picture, in log-odds (natural logarithm).

A link brings the classifier's score. A pair without a link is evidence too: its Hamming distance
is known, and a table of calibrated log-odds by distance (made with the classifier, on the same
scale) turns it into a number, negative for pairs that are far apart.

The objective of stream and batch is one: the sum of the evidence of all pairs that lie inside a
cluster (correlation clustering; Bansal, Blum, Chawla 2004).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ordinals = npt.NDArray[np.int64]
Signatures = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Evidence:
    """What a pair's distance says, and from which score on a link is trusted as a cluster edge.

    ``by_hamming`` float32 [bits + 1]: log-odds of a pair at each Hamming distance.
    ``trusted``: least score of a link that may hold a cluster together (pair precision .999).
    """

    by_hamming: npt.NDArray[np.float32]
    trusted: float

    def between(self, left: Signatures, right: Signatures) -> npt.NDArray[np.float32]:
        """Log-odds of all pairs, float32 [m, n], of packed signatures uint8 [m, b] and [n, b]."""
        differing = np.bitwise_count(left[:, None, :] ^ right[None, :, :])
        log_odds: npt.NDArray[np.float32] = self.by_hamming[differing.sum(axis=2, dtype=np.int64)]
        return log_odds
