"""Do two signatures show the same picture? A calibrated log-odds for a pair.

    score = intercept - slope * Hamming + pull * (crowd(a) + crowd(b)) + lens(a) . lens(b)

The count of differing bits carries what holds for any picture. ``crowd`` says how near others are
to each side (``models.crowd``): in a meadow of look-alikes two pictures must be nearer to one
another than elsewhere. ``lens`` is a layer without bias on a signature's bits as signs, learned so
that copies point the same way and look-alikes do not: it weighs the bits, and what they share,
where the count takes all alike. Each part is symmetric.

Where the looks of both pictures are known (``models.looks``), a pair that was found so is judged
once more:

    score' = kept * score + constant - shape * unlike shapes - colour * unlike colours

The score's weights are whole numbers so small that every sum is exact in its type. TensorFlow and
numpy thus give the same bits, however pairs are batched and whatever processor adds them up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neardup.models.artifact import content_hash, load_artifact, save_artifact
from neardup.models.crowd import crowd_distance
from neardup.models.looks import Looks, present, unlike
from neardup.schemas.errors import ArtifactError

BITS = 1024

# 1,024 signs times at most 2^7 stay below 2^24 (float32 is exact up to there); the product of two
# such sums, 2^34, times 2^10 units stays below 2^53, and so do the other terms.
LENS_LIMIT = 2**7 - 1
MAX_WIDTH = 2**10
COUNT_LIMIT = 2**37

BLOCK = 4096  # pairs unpacked at a time: 16 MiB a side

BUNDLED = Path(__file__).parent / "data" / "classifier.npz"

Signatures = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

# name -> (dtype, shape), d for the width of the lens, c for the size of the crowd
WEIGHTS: Mapping[str, tuple[str, tuple[int | str, ...]]] = {
    "lens": ("|i1", (BITS, "d")),
    "crowd": ("|u1", ("c", BITS // 8)),  # signatures of pictures that it was trained on
    "count": ("<i8", (4,)),  # intercept, slope, pull, score of identical signatures
    "unit": ("<f8", ()),  # log-odds that one whole number of a score stands for, a power of two
    "looks": ("<f8", (4,)),  # kept, constant, shape, colour
}


WITHOUT_LOOKS = np.array([1.0, 0.0, 0.0, 0.0])
"""Looks change no score: of a classifier that was trained without."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """Weights as plain arrays (see WEIGHTS) and the log-odds at which decisions fall.

    ``threshold``: a pair is reported from here on (held-out pair precision .99, by its bound).
    ``trusted``: a link may hold a cluster together from here on (.999).
    ``radius``: pairs of a greater Hamming distance are not looked at (``decisions.RADIUS_SHARE``).
    ``even``: the score at which a held-out pair within the radius is as likely true as false.
    ``hamming_log_odds`` float32 [1025]: a pair's log-odds from its distance alone, falling, on the
    scale of the scores; zero where 98 % of true pairs are nearer.
    """

    version: str
    hasher_version: str
    weights: Mapping[str, npt.NDArray[Any]]
    threshold: float
    trusted: float
    radius: int
    even: float
    hamming_log_odds: Scores

    def probability(self, scores: Scores) -> npt.NDArray[np.float64]:
        """Chance float64 [n] that pairs with these scores, met within the radius, are true."""
        chance: npt.NDArray[np.float64] = 1 / (1 + np.exp(self.even - scores.astype(np.float64)))
        return chance

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
        arrays = {"looks": WITHOUT_LOOKS, **arrays}
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
            "even": float(arrays["even"]),
        }
        told = dict(weights)
        if np.array_equal(weights["looks"], WITHOUT_LOOKS):
            del told["looks"]  # it keeps the version that it had before there were any
        digest = content_hash(
            {
                **told,
                "hamming_log_odds": table,
                "decisions": np.frombuffer(repr(sorted(decisions.items())).encode(), np.uint8),
            }
        )
        version = f"crowd-lens-{digest[:8]}"
        return cls(version=version, weights=weights, hamming_log_odds=table, **decisions)

    def _decisions(self) -> dict[str, Any]:
        return {
            "hasher_version": self.hasher_version,
            "threshold": self.threshold,
            "trusted": self.trusted,
            "radius": self.radius,
            "even": self.even,
        }


def check_weights(weights: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raise ValueError unless shapes, dtypes and sizes are those that keep every sum exact."""
    width, size = weights["lens"].shape[-1], weights["crowd"].shape[0]
    for name, (dtype, shape) in WEIGHTS.items():
        wanted = tuple({"d": width, "c": size}.get(str(side), side) for side in shape)
        found = weights[name]
        if found.dtype != np.dtype(dtype) or found.shape != wanted:
            raise ValueError(f"{name} is {found.dtype} {found.shape}, not {dtype} {wanted}")
    for name, limit in {"lens": LENS_LIMIT, "count": COUNT_LIMIT}.items():
        if np.abs(weights[name].astype(np.int64)).max(initial=0) > limit:
            raise ValueError(f"{name} holds values beyond {limit}")
    if not 0 < width <= MAX_WIDTH:
        raise ValueError(f"a lens {width} wide; 1 to {MAX_WIDTH} are possible")
    if not np.isfinite(weights["looks"]).all():
        raise ValueError("looks holds values that are no numbers")


def log_odds_numpy(classifier: Classifier, left: Signatures, right: Signatures) -> Scores:
    """Log-odds float32 [n] of pairs of signatures uint8 [n, 128]: the reference execution."""
    return weigh(classifier.weights, left, right)


def judged_numpy(
    classifier: Classifier,
    left: Signatures,
    right: Signatures,
    left_looks: Looks,
    right_looks: Looks,
) -> Scores:
    """As ``log_odds_numpy``, judged once more by looks uint8 [n, 24] where both sides have some."""
    scores = log_odds_numpy(classifier, left, right)
    return with_looks(classifier.weights, scores, left_looks, right_looks)


def with_looks(
    weights: Mapping[str, npt.NDArray[Any]], scores: Scores, left: Looks, right: Looks
) -> Scores:
    """Scores float32 [n] of pairs, judged once more by looks uint8 [n, 24] where both have some.

    Each pair by itself, in float64: nothing that another order or processor could change.
    """
    kept, constant, shape, colour = weights["looks"].tolist()
    shapes, colours = unlike(left, right)
    judged = kept * scores.astype(np.float64) + constant - shape * shapes - colour * colours
    judged = np.minimum(judged, weights["count"][3] * weights["unit"])
    return np.where(present(left, right), judged, scores).astype(np.float32)


def weigh(weights: Mapping[str, npt.NDArray[Any]], left: Signatures, right: Signatures) -> Scores:
    """The scores float32 [n] that ``weights`` (see WEIGHTS) give."""
    intercept, slope, pull, identical = weights["count"].astype(np.float64)
    scores = np.empty(len(left), np.float32)
    for start in range(0, len(left), BLOCK):
        rows = slice(start, start + BLOCK)
        distinct, one, other = _distinct(left[rows], right[rows])
        crowded = crowd_distance(distinct, weights["crowd"]).astype(np.float64)
        seen = through_lens(weights["lens"], distinct).astype(np.float64)
        hamming = np.bitwise_count(left[rows] ^ right[rows]).sum(axis=1, dtype=np.float64)
        alike = np.einsum("ij,ij->i", seen[one], seen[other])
        score = intercept - slope * hamming + pull * (crowded[one] + crowded[other]) + alike
        score = np.where(hamming == 0, identical, np.minimum(score, identical))
        scores[rows] = score * weights["unit"]
    return scores


def through_lens(lens: npt.NDArray[np.int8], signatures: Signatures) -> Scores:
    """Whole numbers float32 [n, d]: bits of signatures uint8 [n, 128], as signs, by the lens."""
    signs = 2 * np.unpackbits(signatures, axis=1).astype(np.float32) - 1
    return signs @ lens.astype(np.float32)


def crowding(crowd: Signatures, left: Signatures, right: Signatures) -> npt.NDArray[np.int64]:
    """Sums int64 [n] of both sides' ``crowd_distance``, found once for each signature."""
    distinct, one, other = _distinct(left, right)
    sums = crowd_distance(distinct, crowd)
    total: npt.NDArray[np.int64] = sums[one] + sums[other]
    return total


def _distinct(left: Signatures, right: Signatures) -> tuple[Signatures, Rows, Rows]:
    """The signatures of both sides, each once, and the row of each side's: few are beside many."""
    both = np.ascontiguousarray(np.concatenate([left, right]))
    rows = both.view([("row", np.void, both.shape[1])])["row"].ravel()
    _, first, back = np.unique(rows, return_index=True, return_inverse=True)
    return both[first], back.ravel()[: len(left)], back.ravel()[len(left) :]
