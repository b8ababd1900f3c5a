"""From embedding to signature: 1,024 sign bits along directions that edits change least.

The space is centred and whitened by the scatter of (edited copy minus original), so a direction
that edits move much counts little; the leading directions of the photographs in that space follow,
scaled by eigenvalue^-1/4, and orthonormal rotations of them give the bits (super-bit LSH; Ji, Li,
Yan, Zhang, Tian 2012).

Signing is exact: inputs and projection are rounded to whole numbers whose products add up below
2^53, so float64 sums have no rounding, and neither the batch, the BLAS nor the processor can
change a bit. A replay gives the signatures of the first run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neardup.models.artifact import content_hash, load_artifact, save_artifact
from neardup.models.looks import LOOKS_BYTES, Looks, LooksHasher
from neardup.models.pixels import Features
from neardup.models.whitening import projection_of
from neardup.schemas.errors import ArtifactError

BITS = 1024
DIRECTIONS = 512

# 2^20 steps of input times 2^15 of projection leaves 2^18 addends below 2^53.
INPUT_LIMIT = 2.0**20

BUNDLED = Path(__file__).parent / "data" / "hasher.npz"

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Hasher:
    """Learned directions, with the name of the embedder whose vectors they are made for.

    ``mean`` float32 [dim]; ``projection`` float32 [dim, 1024], whole numbers up to 2^15;
    ``step``: what one whole number of a centred input stands for, a power of two. ``looks``: what
    signs the pixels of pictures; None where only vectors are hashed. The version says which
    signatures can be compared: looks, which find none, are no part of it.
    """

    version: str
    embedder: str
    dim: int
    mean: Floats
    projection: Floats
    step: float
    looks: LooksHasher | None = None

    def sign(self, embeddings: Floats) -> npt.NDArray[np.uint8]:
        """Signatures uint8 [n, 128] of embeddings float32 [n, dim]; bit i is the i-th direction's.

        Each row is the same whatever stands beside it.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dim:
            raise ValueError(f"embeddings of shape {embeddings.shape}, not [n, {self.dim}]")
        centred = embeddings.astype(np.float64) - self.mean
        whole = np.rint(centred / self.step).clip(-INPUT_LIMIT, INPUT_LIMIT)
        return np.packbits(whole @ self._projection > 0, axis=1)

    def sign_looks(self, features: Features) -> Looks:
        """Looks uint8 [n, 24] of ``pixels.looks_features`` int16 [n, 127]; all zero without
        ``looks``."""
        if self.looks is None:
            return np.zeros((len(features), LOOKS_BYTES), np.uint8)
        return self.looks.sign(features)

    @cached_property
    def _projection(self) -> npt.NDArray[np.float64]:
        return self.projection.astype(np.float64)

    @classmethod
    def load(cls, path: Path | None = None) -> "Hasher":
        """The hasher at ``path``, or the bundled one. Raises ArtifactError."""
        path = path or BUNDLED
        arrays, card = load_artifact(path, "hasher")
        try:
            looks = _looks_of(arrays)
            parts = arrays["mean"], arrays["projection"], card["step"], card["embedder"]
            hasher = _build(*parts, looks)
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"The hasher {path} lacks a part ({error}): restore it.") from None
        if hasher.version != card.get("version"):
            raise ArtifactError(
                f"The hasher {path} is {hasher.version}, its card says {card.get('version')}: "
                "restore both files."
            )
        return hasher

    def save(self, path: Path, card: dict[str, Any]) -> None:
        """Write the artifact; ``card`` says how it was learned."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "mean": self.mean,
            "projection": self.projection.astype(np.int16),
            **(self.looks.to_arrays() if self.looks else {}),
        }
        identity = {"version": self.version, "embedder": self.embedder, "step": self.step}
        save_artifact(path, "hasher", arrays, {**identity, **card})


def learn_hasher(
    originals: Floats,
    edited: Floats,
    source_index: npt.NDArray[np.int64],
    seed: int,
    *,
    embedder: str = "mobilenet_v1",
    directions: int = DIRECTIONS,
    looks: LooksHasher | None = None,
) -> Hasher:
    """Learn from pictures float32 [n, dim] and edited copies float32 [m, dim].

    ``source_index`` int64 [m]: the picture that each copy was made from. ``looks``: of the same
    pictures, to go with it. Raises ValueError if there are fewer than two pictures, no copies that
    differ, or 1,024 is no multiple of ``directions``.
    """
    if len(originals) < 2 or not len(edited):
        raise ValueError(f"{len(originals)} pictures and {len(edited)} copies are too few")
    if BITS % directions:
        raise ValueError(f"{directions} directions do not divide {BITS} bits")
    pictures, copies = originals.astype(np.float64), edited.astype(np.float64)
    if (copies == pictures[source_index]).all():
        raise ValueError("no copy differs from its picture: there is nothing to learn from")
    mean = pictures.mean(axis=0)
    whole = projection_of(
        copies - pictures[source_index],
        pictures - mean,
        directions,
        BITS,
        np.random.default_rng(seed),
    )
    step = 2.0 ** np.floor(np.log2(np.std(pictures - mean) / 1024))
    return _build(mean.astype(np.float32), whole.astype(np.int16), float(step), embedder, looks)


def _looks_of(arrays: Mapping[str, npt.NDArray[Any]]) -> LooksHasher | None:
    if "looks_mean" not in arrays:
        return None
    return LooksHasher.of(arrays["looks_mean"], arrays["looks_projection"])


def _build(
    mean: Any, projection: Any, step: Any, embedder: Any, looks: LooksHasher | None
) -> Hasher:
    if projection.shape != (len(mean), BITS):
        raise ValueError(f"projection of shape {projection.shape}")
    arrays = {"mean": mean, "projection": projection, "step": np.array(float(step))}
    digest = content_hash({**arrays, "embedder": np.frombuffer(embedder.encode(), np.uint8)})
    return Hasher(
        version=f"edit-whitened-{digest[:8]}",
        embedder=embedder,
        dim=len(mean),
        mean=mean.astype(np.float32),
        projection=projection.astype(np.float32),
        step=float(step),
        looks=looks,
    )
