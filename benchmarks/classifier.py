"""`neardup bench classifier`: how good, how fast, and what the stream makes of it.

Quality comes first, then what it costs. Needs the data that `classifier_data` names; embeddings are
made once and kept.
"""

from collections.abc import Iterator

from tqdm import tqdm

from neardup.benchmarks import (
    classifier_crowd,
    classifier_geometry,
    classifier_images,
    classifier_int8,
    classifier_quality,
    classifier_speed,
    classifier_stream,
    classifier_teacher,
)
from neardup.benchmarks.classifier_data import Pictures
from neardup.benchmarks.figures import Figure
from neardup.models.hasher import Hasher


def run(quick: bool, seed: int) -> list[Figure]:
    """The figures. Raises EnvironmentProblem if the data is missing."""
    pictures = Pictures(Hasher.load(), seed)
    return list(tqdm(_measured(pictures, quick, seed), desc="figures", unit=""))


def _measured(pictures: Pictures, quick: bool, seed: int) -> Iterator[Figure]:
    judgement = classifier_quality.judgement_of(pictures, quick, seed)
    scores = classifier_quality.scored(pictures, judgement)
    yield from classifier_quality.rows(pictures, judgement, scores)
    yield from classifier_teacher.rows(pictures, quick, seed)
    if not quick:
        yield from classifier_geometry.rows(pictures, judgement, scores, seed)
    yield from classifier_crowd.rows(pictures, quick)
    yield from classifier_stream.rows(quick, seed)
    net = classifier_int8.reference_net(pictures, quick, seed)
    yield from classifier_int8.rows(net, pictures, quick, seed)
    yield from classifier_speed.rows(net, quick, seed)
    yield from classifier_images.rows(quick, seed)
