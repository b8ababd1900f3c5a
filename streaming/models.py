"""The classifiers of a running stream: one decides, and a shadow may score beside it.

Another one is taken into use between two batches, when ``neardup models use`` has written that down
(``models.registry``). What cannot be used is refused with a line in the log, and the stream goes on
as before. Rows of `pins` keep the version that scored them.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neardup.models.classifier import Classifier
from neardup.models.registry import SHADOW, STREAM, Registry
from neardup.schemas.errors import ArtifactError
from neardup.schemas.lake import Lake

log = logging.getLogger(__name__)


class Models:
    """What the stream of a lake scores with. ``shared``: a broadcast of their arrays, a tuple.

    ``broadcast`` is a SparkContext's. ``classifier``: the one that decides; ``source`` is its file,
    None for the bundled one; a lake without classifiers gets a copy of it.
    """

    def __init__(
        self,
        broadcast: Callable[[Any], Any],
        lake: Lake,
        hasher_version: str,
        classifier: Classifier,
        source: Path | None,
        batch_seq: int,
    ) -> None:
        self._broadcast = broadcast
        self._registry = Registry(lake)
        self._hasher_version = hasher_version
        self._read: object = None
        self.classifier = classifier
        self.shadow: Classifier | None = None
        if self._registry.in_use(STREAM) is None:
            self._registry.add(source)
            self._registry.took(STREAM, classifier.version, batch_seq)
        shadow = self._registry.in_use(SHADOW)
        if shadow is not None:
            self.shadow = self._load(shadow)
        log.info("classifier: %s; shadow: %s", classifier.version, shadow or "none")
        self.shared = self._share()

    def follow(self, batch_seq: int) -> bool:
        """Use what people asked for from this batch on; whether another classifier decides now."""
        stamp = _stamp(self._registry.wanted_file)
        if stamp == self._read:
            return False
        self._read = stamp
        before, shadow = self.classifier.version, self.shadow
        with _refusing():
            for role, version in self._registry.wanted().items():
                with _refusing():
                    self._take(role, version, batch_seq)
        changed = self.classifier.version != before
        if changed or self.shadow is not shadow:
            # The one before is not destroyed: a job that keeps workers warm may hold it.
            self.shared = self._share()
        return changed

    def _take(self, role: str, version: str | None, batch_seq: int) -> None:
        now = self.classifier if role == STREAM else self.shadow
        if version == (now.version if now else None):
            return
        taken = self._load(version) if version else None
        self._registry.took(role, version, batch_seq)
        if role == SHADOW:
            self.shadow = taken
        elif taken is not None:
            self.classifier = taken
        log.info("batch %d: the %s classifier is %s now", batch_seq, role, version or "none")

    def _load(self, version: str) -> Classifier:
        classifier = self._registry.load(version)
        classifier.check_hasher(self._hasher_version)
        return classifier

    def _share(self) -> Any:
        used = (self.classifier, self.shadow)
        return self._broadcast(tuple(one.to_arrays() for one in used if one))


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except ArtifactError as refused:
        log.warning("the models in use stay: %s", refused)


def _stamp(path: Path) -> object:
    """What changes when a file is replaced; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
