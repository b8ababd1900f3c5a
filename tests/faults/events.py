"""The events that every run of the fault tests sees: a few hundred, of every kind, always the same.

They carry embeddings, so that no network runs; families of them are near enough to be linked.
"""

import json

import numpy as np

from tests.paths.pictures import event, with_embedding

DIM = 1024
MODEL = "mobilenet_v1"
FAMILIES = 36
SEED = 20260102

Event = tuple[bytes | None, bytes | None]


def events(seed: int = SEED, families: int = FAMILIES) -> list[Event]:
    """Families of one to eight pins; repeats, new versions, deletes and bad events among them."""
    rng = np.random.default_rng(seed)
    sent: list[Event] = []
    versions: dict[str, Event] = {}
    for family in range(families):
        base = rng.standard_normal(DIM)
        for member in range(1 + family % 8):
            pin_id = f"f{family}-{member}"
            versions[pin_id] = pin(pin_id, base, rng)
            sent.append(versions[pin_id])
            if rng.random() < 0.08:
                sent.append(versions[pin_id])  # a repeat, at once or in the next batch
        old = list(versions)[int(rng.integers(len(versions)))]
        match family % 5:
            case 0:
                versions[old] = pin(old, base, rng)  # another picture: it changes its family
                sent.append(versions[old])
            case 1:
                sent.append((old.encode(), None))
            case 2:
                sent.append(versions[old])
            case 3:
                sent.append(bad(f"bad-{family}", family))
            case 4:
                sent.append((f"unknown-{family}".encode(), None))
    return sent


def pin(pin_id: str, base: np.ndarray, rng: np.random.Generator) -> tuple[bytes, bytes]:
    """A pin whose picture is near ``base``: about 90 of 1,024 bits differ."""
    return with_embedding(pin_id, base + 0.2 * rng.standard_normal(DIM), MODEL)


def bad(pin_id: str, number: int) -> Event:
    """One of four kinds of events that cannot be used."""
    return (
        (pin_id.encode(), b"{nonsense"),
        with_embedding(pin_id, np.full(DIM, np.nan), MODEL),
        event(pin_id),
        (None, json.dumps({"pin_id": pin_id}).encode()),
    )[number % 4]
