"""A prepared generation is published: by the running stream, or here if there is none."""

import logging
import time
from contextlib import suppress

from neardup.clusters.evidence import Evidence, evidence_of
from neardup.clusters.generations import prepare_again, prepared_generation, publish_alone
from neardup.clusters.identity import History
from neardup.clusters.people import commit_waiting
from neardup.models.registry import classifier_of
from neardup.schemas.errors import StreamError
from neardup.schemas.lake import Lake
from neardup.schemas.settings import Settings

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2


def publish_or_wait(
    lake: Lake, evidence: Evidence, wait_seconds: float, changed: History | None = None
) -> None:
    """Publish what is prepared here if no stream runs, else wait until the stream has done so.

    ``changed``: what clusters became with it, if known. Raises StreamError if a stream runs and
    does not publish in time.
    """
    deadline = time.monotonic() + wait_seconds
    while (prepared := prepared_generation(lake)) is not None:
        try:
            with lake.lease("stream"):
                publish_alone(lake, prepared, evidence, changed)
        except StreamError:
            if time.monotonic() > deadline:
                raise StreamError(
                    f"Generation {prepared['generation']} is prepared, but the running stream did "
                    f"not publish it in {wait_seconds:.0f} s: look at the stream's log. It will be "
                    "published by the next `neardup compact`, or when the stream recovers."
                ) from None
            time.sleep(POLL_SECONDS)


def hear(lake: Lake) -> None:
    """Take what people said into the log, for a compaction to know it; a stream does so itself."""
    with suppress(StreamError), lake.lease("stream"):
        commit_waiting(lake)


def rollback(settings: Settings, generation: int) -> None:
    """Make an older generation the current one, brought up to the newest batch.

    Raises CompactionError if it is not there any more, and the errors of ``publish_or_wait``.
    """
    lake = Lake(settings.lake.path)
    evidence = evidence_of(classifier_of(lake, settings), settings)
    with lake.lease("compact"):
        prepare_again(lake, generation)
        publish_or_wait(lake, evidence, settings.compact.publish_wait_seconds)
    log.info("generation %d is the current one", generation)
