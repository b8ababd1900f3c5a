"""The teacher: a decision tree over geometrically verified local features.

Too slow for the stream, it labels pairs that nobody made; so did Pinterest's (2018). The tree is
fitted by scikit-learn (``batch/teach.py``) and kept as plain arrays: loading it runs no code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neardup.models.artifact import content_hash, load_artifact, save_artifact
from neardup.models.comparison import FEATURES
from neardup.schemas.errors import ArtifactError

SAME_FROM, OTHER_TO = 0.9, 0.1  # of a leaf's pairs
TAKEN = 0.4  # where one word is wanted: cross-validated, precision .991 at recall .994
FEWEST_KEYPOINTS = 8  # with fewer there is nothing to look at

BUNDLED = Path(__file__).parent / "data" / "teacher.npz"

# name -> dtype; each of shape [nodes], the root first
TREE: Mapping[str, str] = {
    "feature": "<i4",  # number of a feature; -1: a leaf
    "limit": "<f8",  # to the left child if the feature is at most this
    "left": "<i4",  # number of a node
    "right": "<i4",
    "share": "<f8",  # of the leaf's training pairs that show the same picture
}

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Teacher:
    """The tree as arrays (see TREE)."""

    version: str
    tree: Mapping[str, npt.NDArray[Any]]

    def probability(self, features: Doubles) -> Doubles:
        """Share of same pairs float64 [n] in the leaves that ``features`` [n, 10] fall into."""
        tree, node = self.tree, np.zeros(len(features), np.int64)
        # scikit-learn chooses its limits for float32.
        values, rows = features.astype(np.float32), np.arange(len(features))
        while (inner := tree["feature"][node] >= 0).any():
            lower = values[rows, tree["feature"][node]] <= tree["limit"][node]
            child = np.where(lower, tree["left"][node], tree["right"][node])
            node = np.where(inner, child, node)
        probability: Doubles = tree["share"][node]
        return probability

    def verdicts(self, features: Doubles) -> list[str]:
        """``same``, ``other`` or ``unsure`` for each row of ``features`` [n, 10].

        Unsure where a leaf is mixed, or where a picture has hardly any keypoint.
        """
        blank = features[:, FEATURES.index("keypoints")] < FEWEST_KEYPOINTS
        return [
            "unsure"
            if nothing or OTHER_TO < share < SAME_FROM
            else ("same" if share >= SAME_FROM else "other")
            for nothing, share in zip(blank, self.probability(features), strict=True)
        ]

    @classmethod
    def load(cls, path: Path | None = None) -> "Teacher":
        """The teacher at ``path``, or the bundled one. Raises ArtifactError."""
        path = path or BUNDLED
        arrays, card = load_artifact(path, "teacher")
        if card.get("features") != list(FEATURES):
            raise ArtifactError(
                f"The teacher {path} judges by {card.get('features')}, this neardup measures "
                f"{list(FEATURES)}: train it again with this version."
            )
        try:
            return cls.from_arrays(arrays)
        except (KeyError, ValueError) as error:
            raise ArtifactError(f"The teacher {path} lacks a part ({error}): restore it.") from None

    @classmethod
    def from_arrays(cls, tree: Mapping[str, npt.NDArray[Any]]) -> "Teacher":
        """Check the arrays; the version is made of their contents. Raises KeyError, ValueError."""
        tree = {name: tree[name] for name in TREE}
        check_tree(tree)
        return cls(f"tree-{content_hash(tree)[:8]}", tree)

    def save(self, path: Path, card: Mapping[str, Any]) -> None:
        """Write the artifact; ``card`` says how it was learned."""
        about = {"version": self.version, "features": list(FEATURES)}
        save_artifact(path, "teacher", self.tree, {**about, **card})


def check_tree(tree: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raise ValueError unless every walk from the root ends in a leaf with a share."""
    nodes = len(tree["feature"])
    for name, dtype in TREE.items():
        if tree[name].dtype != np.dtype(dtype) or tree[name].shape != (nodes,) or not nodes:
            raise ValueError(f"{name} is {tree[name].dtype} {tree[name].shape}, not {dtype} [n]")
    inner = tree["feature"] >= 0
    if tree["feature"].max() >= len(FEATURES):
        raise ValueError(f"a node asks for feature {tree['feature'].max()} of {len(FEATURES)}")
    for name in ("left", "right"):
        children = tree[name][inner]  # after their parent, so that no walk can go round
        if not ((children > np.flatnonzero(inner)) & (children < nodes)).all():
            raise ValueError(f"{name} leads to no later node")
    share = tree["share"][~inner]
    if not ((share >= 0) & (share <= 1)).all():
        raise ValueError("a leaf's share is outside 0 to 1")
