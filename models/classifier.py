"""Do two signatures show the same picture? A calibrated log-odds for a pair.

    score = intercept - slope * Hamming + clip(net, -limit, +limit)

The count of differing bits carries what holds for any picture. The net, a hidden layer on the XOR
and AND bits, adds what it learned, and the limit keeps what it learned on one kind of picture from
overruling the count on another. XOR and AND make it symmetric.

Weights are whole numbers so small that every sum is exact in its type. TensorFlow and numpy thus
give the same bits, however pairs are batched and whatever processor adds them up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neardup.models.artifact import content_hash, load_artifact, save_artifact
from neardup.schemas.errors import ArtifactError

BITS = 1024

# 2 * 1,024 inputs of 0 or 1 times at most 2^11, and a bias of at most 2^22, stay below 2^24
# (float32 is exact up to there); 2^23 times 2^15 times 2^10 hidden units stay below 2^53.
HIDDEN_LIMIT = 2**11
BIAS_LIMIT = 2**22
OUTPUT_LIMIT = 2**15
MAX_HIDDEN = 2**10

BLOCK = 4096  # pairs unpacked at a time: 32 MiB

BUNDLED = Path(__file__).parent / "data" / "classifier.npz"

Signatures = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float32]

# name -> (dtype, shape), h for the hidden units
WEIGHTS: Mapping[str, tuple[str, tuple[int | str, ...]]] = {
    "hidden": ("<i2", (2 * BITS, "h")),  # XOR bits, then AND bits
    "hidden_bias": ("<i4", ("h",)),
    "output": ("<i4", ("h",)),
    "count": ("<i8", (4,)),  # intercept, slope, limit, score of identical signatures
    "unit": ("<f8", ()),  # log-odds that one whole number of a score stands for, a power of two
}


@dataclass(frozen=True, eq=False)
class Classifier:
    """Weights as plain arrays (see WEIGHTS) and the log-odds at which decisions fall.

    ``threshold``: a pair is reported from here on (held-out pair precision .99).
    ``trusted``: a link may hold a cluster together from here on (.999).
    ``radius``: the largest Hamming distance at which a score can reach ``threshold``.
    ``hamming_log_odds`` float32 [1025]: a pair's log-odds from its distance alone, falling, on the
    scale of the scores; zero where 98 % of true pairs are nearer.
    """

    version: str
    hasher_version: str
    weights: Mapping[str, npt.NDArray[Any]]
    threshold: float
    trusted: float
    radius: int
    hamming_log_odds: Scores

    def check_hasher(self, version: str) -> None:
        """Raise ArtifactError unless the signatures come from the hasher it was trained on."""
        if version != self.hasher_version:
            raise ArtifactError(
                f"The classifier {self.version} was trained on signatures of the hasher "
                f"{self.hasher_version}, not {version}: give the pair that was trained together, "
                "or train a new one."
            )

    @classmethod
    def load(cls, path: Path | None = None) -> "Classifier":
        """The classifier at ``path``, or the bundled one. Raises ArtifactError."""
        path = path or BUNDLED
        arrays, card = load_artifact(path, "classifier")
        try:
            classifier = cls.from_arrays({**arrays, **card["decisions"]})
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"The classifier {path} lacks a part ({error}): restore it."
            ) from None
        if classifier.version != card.get("version"):
            raise ArtifactError(
                f"The classifier {path} is {classifier.version}, its card says "
                f"{card.get('version')}: restore both files."
            )
        return classifier

    def save(self, path: Path, card: Mapping[str, Any]) -> None:
        """Write the artifact; ``card`` says how it was trained."""
        arrays = {**self.weights, "hamming_log_odds": self.hamming_log_odds}
        identity = {"version": self.version, "decisions": self._decisions()}
        save_artifact(path, "classifier", arrays, {**identity, **card})

    def to_arrays(self) -> dict[str, Any]:
        """Plain arrays, numbers and strings, for a broadcast; from_arrays is its inverse."""
        return {
            "version": self.version,
            **self._decisions(),
            **self.weights,
            "hamming_log_odds": self.hamming_log_odds,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> "Classifier":
        """Build from what to_arrays gave; the version is computed from the contents.

        Raises KeyError, TypeError or ValueError where a part is missing or of the wrong kind.
        """
        weights = {name: np.asarray(arrays[name]) for name in WEIGHTS}
        table = np.asarray(arrays["hamming_log_odds"])
        check_weights(weights)
        if table.shape != (BITS + 1,) or table.dtype != np.float32 or (np.diff(table) > 0).any():
            raise ValueError("hamming_log_odds is not a falling float32 [1025]")
        decisions: dict[str, Any] = {
            "hasher_version": str(arrays["hasher_version"]),
            "threshold": float(arrays["threshold"]),
            "trusted": float(arrays["trusted"]),
            "radius": int(arrays["radius"]),
        }
        digest = content_hash(
            {
                **weights,
                "hamming_log_odds": table,
                "decisions": np.frombuffer(repr(sorted(decisions.items())).encode(), np.uint8),
            }
        )
        version = f"count-net-{digest[:8]}"
        return cls(version=version, weights=weights, hamming_log_odds=table, **decisions)

    def _decisions(self) -> dict[str, Any]:
        return {
            "hasher_version": self.hasher_version,
            "threshold": self.threshold,
            "trusted": self.trusted,
            "radius": self.radius,
        }


def check_weights(weights: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raise ValueError unless shapes, dtypes and sizes are those that keep every sum exact."""
    hidden = weights["hidden"].shape[-1]
    for name, (dtype, shape) in WEIGHTS.items():
        wanted = tuple(hidden if side == "h" else side for side in shape)
        found = weights[name]
        if found.dtype != np.dtype(dtype) or found.shape != wanted:
            raise ValueError(f"{name} is {found.dtype} {found.shape}, not {dtype} {wanted}")
    sizes = {"hidden": HIDDEN_LIMIT, "hidden_bias": BIAS_LIMIT, "output": OUTPUT_LIMIT}
    for name, limit in sizes.items():
        if np.abs(weights[name].astype(np.int64)).max(initial=0) > limit:
            raise ValueError(f"{name} holds values beyond {limit}")
    if not 0 < hidden <= MAX_HIDDEN:
        raise ValueError(f"{hidden} hidden units; 1 to {MAX_HIDDEN} are possible")


def pair_bits(left: Signatures, right: Signatures) -> Signatures:
    """XOR bytes and AND bytes of pairs of signatures uint8 [n, 128], side by side [n, 256]."""
    return np.concatenate([left ^ right, left & right], axis=1)


def log_odds_numpy(classifier: Classifier, left: Signatures, right: Signatures) -> Scores:
    """Log-odds float32 [n] of pairs of signatures uint8 [n, 128]: the reference execution."""
    return weigh(classifier.weights, left, right)


def weigh(weights: Mapping[str, npt.NDArray[Any]], left: Signatures, right: Signatures) -> Scores:
    """The scores float32 [n] that ``weights`` (see WEIGHTS) give."""
    hidden, output = weights["hidden"].astype(np.float32), weights["output"].astype(np.float64)
    intercept, slope, limit, identical = weights["count"].astype(np.float64)
    scores = np.empty(len(left), np.float32)
    for start in range(0, len(left), BLOCK):
        rows = slice(start, start + BLOCK)
        bits = np.unpackbits(pair_bits(left[rows], right[rows]), axis=1).astype(np.float32)
        hamming = bits[:, :BITS].sum(axis=1, dtype=np.float64)
        net = np.maximum(bits @ hidden + weights["hidden_bias"], 0).astype(np.float64) @ output
        score = intercept - slope * hamming + np.clip(net, -limit, limit)
        scores[rows] = np.where(hamming == 0, identical, score) * weights["unit"]
    return scores
