"""Every error a person may meet. A message says what happened, the value, and what to do."""


class NeardupError(Exception):
    """Base of all errors raised on purpose; the command line prints it without a traceback."""


class SettingsError(NeardupError):
    """A setting is missing, of the wrong type or out of range."""


class EnvironmentProblem(NeardupError):
    """The machine lacks something: Java, a jar, a free port, a reachable broker."""


class ArtifactError(NeardupError):
    """A model file is missing, damaged, or made for another hasher or embedder."""


class TrainingError(NeardupError):
    """Nothing can be learned from these pictures, or a training has run away."""


class SegmentError(NeardupError):
    """A segment of the index is damaged or of an unknown format; the message names it."""


class LakeError(NeardupError):
    """A table is missing, of another format version, or disagrees with another table."""


class StreamError(NeardupError):
    """The stream cannot go on: the lake is held by another one, or the topic is not its topic."""


class CompactionError(NeardupError):
    """A generation is not published: it would move too many pins, or its rows are gone."""


class OverrideError(NeardupError):
    """What a person says cannot stand: it contradicts what was said, or names nothing."""


class SourceError(NeardupError):
    """A corpus cannot be backfilled: it holds nothing to read, or not what it should."""


class BadEvent(NeardupError):
    """One event cannot be used. It is data, not a failure of the batch: it goes to `quarantine`.

    `reason` is a word of `neardup.schemas.events.REASONS`; `detail` is for people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
