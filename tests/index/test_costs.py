import json

import pytest

from neardup.index.costs import Costs, Price
from tests.index.planning import machine


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, 3.0),  # as in the smallest
        (2**23, 3.0),
        (2**24, 5.0),  # halfway in the logarithm
        (2**25, 7.0),
        (2**27, 11.0),  # on as between the last two
    ],
)
def test_a_price_follows_the_bytes(size, expected):
    assert Price((2.0**23, 2.0**25), (3.0, 7.0)).at(size) == pytest.approx(expected)


def test_a_price_does_not_fall_beyond_what_was_measured():
    assert Price((1024.0, 2048.0), (9.0, 7.0)).at(2**30) == 7
    assert Price((1024.0,), (9.0,)).at(2**30) == 9


def test_costs_survive_json():
    assert Costs.from_json(machine().to_json()) == machine()


@pytest.mark.parametrize(
    "change",
    [
        {"entry": [[], []]},
        {"entry": [[2.0, 1.0], [1.0, 1.0]]},
        {"entry": [[1.0], [1.0, 2.0]]},
        {"probe": [[[1.0], [1.0]]]},
        {"word": "fast"},
    ],
)
def test_what_is_no_price_is_refused(change):
    raw = {**json.loads(machine().to_json()), **change}
    with pytest.raises(ValueError):
        Costs.from_json(json.dumps(raw))


def test_a_missing_price_is_refused():
    with pytest.raises(KeyError):
        Costs.from_json("{}")
