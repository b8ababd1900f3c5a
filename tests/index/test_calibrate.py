import pytest

from neardup.index import calibrate as module
from neardup.index.calibrate import calibrate
from neardup.index.search import search

PROBE, NEIGHBOUR, ENTRY, COUNT, DISTANCE = 40e-9, 25e-9, 2e-9, 5e-9, 30e-9


class Machine:
    """A clock that goes on by what the work of each search costs on an imagined machine."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def search(self, segment, queries, radius, words=None):
        found = search(segment, queries, radius, words)
        work = found.work
        self.now += work.probes * (NEIGHBOUR if segment.plan.flips else PROBE)
        self.now += work.entries * ENTRY + work.counted * COUNT + work.compared * DISTANCE
        return found


@pytest.mark.parametrize("n", [2**12, 2**14])
def test_the_prices_of_a_known_machine_are_found(monkeypatch, n):
    machine = Machine()
    monkeypatch.setattr(module, "search", machine.search)
    costs = calibrate(score=1e-5, pins=(n,), clock=machine.clock)
    assert costs.probe[0].seconds[0] == pytest.approx(PROBE, rel=0.001)
    assert costs.probe[1].seconds[0] == pytest.approx(NEIGHBOUR, rel=0.001)
    assert costs.entry.seconds[0] == pytest.approx(ENTRY, rel=0.001)
    assert costs.count.seconds[0] == pytest.approx(COUNT, rel=0.001)
    assert costs.distance.seconds[0] == pytest.approx(DISTANCE, rel=0.001)
    assert costs.score == 1e-5


def test_sizes_are_those_of_what_is_read():
    machine = Machine()
    costs = calibrate(pins=(2**10, 2**12), clock=machine.clock)
    assert costs.entry.bytes == costs.probe[0].bytes == (64 * 8 * 2.0**10, 64 * 8 * 2.0**12)
    assert costs.count.bytes == costs.distance.bytes == (2.0**17, 2.0**19)


def test_noise_makes_no_price_zero_or_negative():
    """A clock that stands still is the worst of noise."""
    costs = calibrate(pins=(2**10,), clock=lambda: 0.0)
    assert costs.entry.at(1) > 0 and costs.count.at(1) > 0 and costs.distance.at(1) > 0
    assert costs.probe[0].at(1) >= 0 and costs.word > 0


def test_this_machine_can_be_measured():
    costs = calibrate(pins=(2**10, 2**12))
    for price in (*costs.probe, costs.entry, costs.count, costs.distance):
        assert all(0 < seconds < 1e-3 for seconds in price.seconds)
