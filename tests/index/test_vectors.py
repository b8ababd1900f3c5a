import re
from pathlib import Path

import numpy as np
import pytest

from neardup.index import vectors as module
from neardup.index.vectors import VectorIndex

PAGE = Path(__file__).parents[2] / "docs" / "index.md"


def cosines(left, right, mean):
    left, right = left - mean, right - mean
    return (left * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)


@pytest.mark.parametrize("dim", [40, 384, 1500])
def test_finds_what_is_near_by_angle(monkeypatch, dim):
    """Against exact cosine, across memtable, segments and merged segments."""
    monkeypatch.setattr(module, "FLUSH_PINS", 100)
    rng = np.random.default_rng(dim)
    print("seed", dim)
    vectors = rng.normal(size=(950, dim)).astype(np.float32) + 5
    noise = rng.uniform(0, 0.6, (950, 1)).astype(np.float32)
    queries = vectors + noise * rng.normal(size=vectors.shape).astype(np.float32)
    index = VectorIndex(vectors, cosine=0.9)
    for part in np.array_split(vectors, 7):
        index.add(part)
    assert len(index) == 950 and len(index._segments) == 2 + 1
    found = index.search(queries)
    own = set(found.query[found.query == found.ordinal].tolist())
    near = np.flatnonzero(cosines(queries, vectors, vectors.mean(axis=0)) >= 0.9)
    assert len(near) > 300
    assert len(own.intersection(near.tolist())) >= 0.99 * len(near)
    assert (found.hamming <= index.radius).all()


def test_what_is_added_at_once_or_bit_by_bit_is_found_alike(monkeypatch):
    monkeypatch.setattr(module, "FLUSH_PINS", 64)
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(500, 64)).astype(np.float32)
    whole, parts = VectorIndex(vectors, 0.8), VectorIndex(vectors, 0.8)
    whole.add(vectors)
    for part in np.array_split(vectors, 31):
        parts.add(part)
    for one, other in zip(whole.search(vectors[:50]), parts.search(vectors[:50]), strict=True):
        assert one.tolist() == other.tolist()


def test_nonsense_is_refused():
    vectors = np.ones((5, 8), np.float32)
    with pytest.raises(ValueError, match="two finite rows"):
        VectorIndex(vectors[:1], 0.9)
    with pytest.raises(ValueError, match="cosine is 1"):
        VectorIndex(vectors, 1.0)
    index = VectorIndex(vectors, 0.9)
    with pytest.raises(ValueError, match="need finite rows of 8"):
        index.add(np.ones((2, 9), np.float32))
    with pytest.raises(ValueError, match="need finite rows of 8"):
        index.search(np.full((1, 8), np.nan, np.float32))


def test_the_example_of_the_page_runs(capsys):
    code = re.search(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert code
    exec(compile(code[1], str(PAGE), "exec"), {})  # noqa: S102
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("query 0 is near vector 0: ")
    assert len(lines) == 5
