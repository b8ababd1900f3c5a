"""What a compaction makes of components of links: parts, and who stands for each.

A function of the pins of a component, of their links and of what people said about them: neither
other components nor the order in which any of it comes change a thing. So components may be
recomputed anywhere, and one that nothing happened to need not be.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neardup.clusters.component import each, partition
from neardup.clusters.disputed import disputed
from neardup.clusters.evidence import Evidence, Links, Signatures
from neardup.clusters.heads import heads
from neardup.clusters.loosen import loosen
from neardup.clusters.missed import missed_pairs
from neardup.models.looks import Looks

Int64 = npt.NDArray[np.int64]

Score = Callable[[Signatures, Signatures, Looks, Looks], npt.NDArray[np.float32]]
"""Log-odds float32 [n] of pairs of signatures uint8 [n, 128] and of their looks uint8 [n, 24]."""

REVISION = 1
"""To be raised with every change after which the same component may have other parts."""


@dataclass(frozen=True)
class Recipe:
    """All that a component's parts depend on beside its pins.

    ``score``, ``radius``, ``threshold`` and ``model``: the classifier's; ``max_links``: as many of
    a pin's nearest older companions are looked at for links that the search missed;
    ``max_cut_pins``: exact cuts see at most so many.
    """

    evidence: Evidence
    score: Score
    radius: int
    threshold: float
    model: str
    max_links: int = 32
    max_cut_pins: int = 512

    @property
    def name(self) -> str:
        """Two recipes of one name give equal parts."""
        evidence = self.evidence
        return (
            f"revision {REVISION}, {self.model}, trusted {evidence.trusted:g}, "
            f"unseen {evidence.unseen:g}, zero {evidence.zero:g}, apart {evidence.apart}, "
            f"links {self.max_links}, cut {self.max_cut_pins}"
        )


class Pins(NamedTuple):
    """Live pins of whole components, in the order of age.

    ``signatures`` uint8 [n, 128]; ``looks`` uint8 [n, 24]; ``components`` int64 [n], any labels;
    ``pixels`` int64 [n], width times height, 0 if unknown; ``was_head`` bool [n]: whether the pin
    headed its cluster before.
    """

    signatures: Signatures
    looks: Looks
    components: Int64
    pixels: Int64
    was_head: npt.NDArray[np.bool_]


class Parts(NamedTuple):
    """For each pin the position of its part's oldest pin and of its head, int64 [n] each."""

    oldest: Int64
    heads: Int64


def recompute(recipe: Recipe, pins: Pins, links: Links) -> Parts:
    """Parts of components; ``links`` by position in ``pins``, what people said among them."""
    links = _with_missed(recipe, pins, _in_order(links))
    most = recipe.max_cut_pins
    _, first, which = np.unique(pins.components, return_index=True, return_inverse=True)
    oldest = first[which]
    cut = disputed(recipe.evidence, pins.signatures, pins.components, links, most)
    labels = np.where(cut, pins.components, -1 - np.arange(len(cut)))
    for members, own in each(labels, links):
        oldest[members] = members[partition(recipe.evidence, pins.signatures[members], own, most)]
    found = heads(recipe.evidence, pins.signatures, oldest, pins.pixels, pins.was_head)
    return Parts(oldest, found)


def _in_order(links: Links) -> Links:
    """Sorted, what people said last: so it counts where there is a link too."""
    pairs = links.left * (links.right.max(initial=0) + 1) + links.right
    order = np.argsort(pairs, kind="stable")
    order = order[np.argsort(np.isinf(links.scores[order]), kind="stable")]
    return Links(links.left[order], links.right[order], links.scores[order])


def _with_missed(recipe: Recipe, pins: Pins, links: Links) -> Links:
    """The links, and before them those that the search missed."""
    pieces = _pieces(pins.components, links, recipe.max_cut_pins)
    limits = recipe.radius, recipe.max_links
    newer, older = missed_pairs(pins.signatures, pieces, links, *limits)
    sides = (part[side] for part in (pins.signatures, pins.looks) for side in (newer, older))
    scores = recipe.score(*sides).astype(np.float64)
    is_link = scores >= recipe.threshold
    return Links(
        np.append(newer[is_link], links.left),
        np.append(older[is_link], links.right),
        np.append(scores[is_link], links.scores),
    )


def _pieces(components: Int64, links: Links, most: int) -> Int64:
    """Labels int64 [n] of components, those of more than ``most`` pins taken apart."""
    _, first, which, sizes = np.unique(
        components, return_index=True, return_inverse=True, return_counts=True
    )
    pieces: Int64 = first[which]
    if sizes.max(initial=0) > most:
        large = np.where(sizes[which] > most, components, -1 - np.arange(len(components)))
        for members, own in each(large, links):
            pieces[members] = members[loosen(len(members), own, most)]
    return pieces
