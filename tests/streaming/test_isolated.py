"""A wall around each event: who dies behind it is named, all others get what they always get."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neardup.schemas.errors import EnvironmentProblem
from neardup.schemas.events import REASONS
from neardup.schemas.settings import EventSettings, ModelSettings
from neardup.streaming.hashing import HashingPlan, hash_records
from neardup.streaming.isolated import rows_alone
from tests.faults.poison import faulty_codec, gif, slow_jpeg
from tests.paths.pictures import encoded, photos, with_embedding, with_image
from tests.streaming.test_hashing import records

PLAN = HashingPlan(EventSettings(max_seconds=1.0), ModelSettings(), 64, ("mirror",))


def test_each_event_alone_gets_the_row_that_it_gets_among_others() -> None:
    (picture,) = photos(1).values()
    posted = records(
        with_image("photo", encoded(picture)),
        with_embedding("own", np.linspace(0, 1, 1024, dtype=np.float32), "mobilenet_v1"),
        (b"photo", None),
        (b"bad", b"{"),
    )
    assert list(rows_alone(PLAN, posted)) == hash_records(PLAN, posted)


def test_who_crashes_or_hangs_is_named_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{faulty_codec(tmp_path / 'codec')}:{':'.join(sys.path)}")
    good = encoded(Image.new("RGB", (40, 40), "red"), "PNG")
    posted = records(
        with_image("first", good),
        with_image("crash", gif()),
        with_image("hang", slow_jpeg(3000)),
        with_image("last", good),
    )
    rows = list(rows_alone(PLAN, posted))
    assert [row.get("reason") for row in rows] == [None, "crashed", "timeout", None]
    assert "SIGSEGV" in rows[1]["detail"] and "1 s" in rows[2]["detail"]
    assert {"crashed", "timeout"} <= REASONS.keys()
    assert rows[1]["value"] == posted[1]["value"], "nothing is lost"
    assert rows[0]["signature"] == rows[3]["signature"]


def test_a_machine_that_cannot_hash_at_all_is_not_an_events_fault(tmp_path: Path) -> None:
    models = ModelSettings(hasher=tmp_path / "none.npz")
    plan = HashingPlan(EventSettings(), models, 0)
    with pytest.raises(EnvironmentProblem, match="cannot hash a picture"):
        list(rows_alone(plan, records((b"a", b"{"))))
