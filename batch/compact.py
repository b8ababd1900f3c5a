"""The nightly compaction: `neardup compact`.

Nothing that readers or the stream use is touched: the next generation is written beside the
current one and published in one commit, by the stream between two of its batches or, when no
stream runs, here. Then generations that nobody needs any more are removed.
"""

import logging
from functools import partial
from typing import Any

from pyspark.sql import SparkSession

from neardup.batch.publishing import hear, publish_or_wait
from neardup.batch.sharing import work_on
from neardup.clusters.compaction import prepare
from neardup.clusters.evidence import evidence_of
from neardup.clusters.generations import prepared_generation, remove_outdated
from neardup.clusters.recompute import Recipe
from neardup.models.classifier import Classifier, judged_numpy
from neardup.models.registry import classifier_of
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings

log = logging.getLogger(__name__)


def compact(
    spark: SparkSession | None, settings: Settings, force: bool = False, dry_run: bool = False
) -> dict[str, Any]:
    """Write and publish the next generation; its figures, or only the present generation's number.

    A generation that an earlier run prepared but nobody published is published first. ``spark``: a
    session to use; None: one is started if there is much to do. ``force``: however many pins move.
    Raises LakeError if the lake is empty, CompactionError if too many pins would move, StreamError
    if another compaction runs, or if a running stream does not publish in time.
    """
    lake = Lake(settings.lake.path)
    limits = settings.compact
    recipe = recipe_of(classifier_of(lake, settings), settings)
    publish = partial(publish_or_wait, lake, recipe.evidence, limits.publish_wait_seconds)
    with lake.lease("compact"), work_on(lake, settings, spark) as work:
        if prepared_generation(lake):
            publish()
        hear(lake)
        outcome = prepare(lake, recipe, work, 1.0 if force else limits.max_moved_share, dry_run)
        if outcome is not None and not dry_run:
            publish(outcome.history)
            removed = remove_outdated(lake, limits.keep_generations)
            log.info("published generation %d; removed %s", outcome.generation, removed)
    if outcome is None:
        return {"generation": lake.current_generation()}
    return {"generation": outcome.generation, **outcome.figures}


def recipe_of(classifier: Classifier, settings: Settings) -> Recipe:
    """How this classifier and these settings make parts of components."""
    return Recipe(
        evidence=evidence_of(classifier, settings),
        score=partial(judged_numpy, classifier),
        radius=classifier.radius,
        threshold=classifier.threshold,
        model=classifier.version,
        max_links=settings.stream.max_links,
        max_cut_pins=settings.compact.max_cut_pins,
    )
