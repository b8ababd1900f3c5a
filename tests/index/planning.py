"""What the planner's tests share: a crowd of correlated, skewed bits, links, recorded costs."""

import numpy as np
import numpy.typing as npt

from neardup.index.costs import Costs, Price

Signatures = npt.NDArray[np.uint8]


def crowd(n: int, seed: int, directions: int = 60) -> Signatures:
    """Signatures uint8 [n, 128] of few directions and an offset: bits correlated and unbalanced.

    Other seeds give other pins of the same crowd.
    """
    space = np.random.default_rng(0)
    mixing = space.standard_normal((directions, 1024)) * space.uniform(0.5, 2, (directions, 1))
    offset = 3 * space.standard_normal(1024)
    vectors = np.random.default_rng(seed).standard_normal((n, directions))
    return np.packbits(vectors @ mixing + offset > 0, axis=1)


def flipped(n: int, seed: int) -> Signatures:
    """XOR patterns uint8 [n, 128] of links: 2 to 28 % of the bits differ, some bits rather."""
    rng = np.random.default_rng(seed)
    rather = np.random.default_rng(0).uniform(0.5, 1.5, 1024)
    share = rng.uniform(0.02, 0.28, (n, 1))
    return np.packbits(rng.random((n, 1024)) < share * rather, axis=1)


def machine(probe: float = 10e-9, distance: float = 10e-9) -> Costs:
    """Costs that do not depend on the machine of the test."""
    sizes = (2.0**20, 2.0**30)
    lists = Price(sizes, (probe, 3 * probe))
    return Costs(
        word=3e-9,
        probe=(lists, lists),
        entry=Price(sizes, (1e-9, 2e-9)),
        count=Price(sizes, (1e-9, 3e-9)),
        distance=Price(sizes, (distance, 3 * distance)),
        score=5e-6,
    )
