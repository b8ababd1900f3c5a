"""Is a running stream well? A pure function of what is known about it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Events that may wait, seconds that a batch may take, and the first one from the start on."""

    lag_events: int
    batch_seconds: float
    start_seconds: float


@dataclass(frozen=True)
class Pulse:
    """What is known about a stream: seconds since its start, and for how many of them events have
    been seen to wait without a batch; whether there was a batch, and how long the last one took;
    the events that wait in the topic now (None: not known)."""

    since_start: float
    waited: float
    began: bool
    batch_seconds: float
    lag: int | None


def complaint(pulse: Pulse, limits: Limits) -> str | None:
    """What is wrong, as a sentence; None if the stream is well."""
    if pulse.lag is None:
        return "Kafka does not say how many events wait: see whether the broker answers."
    if not pulse.began:
        if pulse.lag and pulse.since_start > limits.start_seconds:
            return (
                f"{pulse.lag:,} events wait and no batch was done in the {pulse.since_start:.0f} s "
                f"since the start; {limits.start_seconds:.0f} are allowed."
            )
        return None
    if pulse.lag > limits.lag_events:
        return f"{pulse.lag:,} events wait; {limits.lag_events:,} are allowed."
    if pulse.lag and pulse.waited > limits.batch_seconds:
        return (
            f"{pulse.lag:,} events wait, and no batch was done for {pulse.waited:.0f} s; "
            f"{limits.batch_seconds:.0f} are allowed."
        )
    if pulse.lag and pulse.batch_seconds > limits.batch_seconds:  # if none waits, it is over
        return (
            f"{pulse.lag:,} events wait, and the last batch took {pulse.batch_seconds:.1f} s; "
            f"{limits.batch_seconds:.0f} are allowed."
        )
    return None
