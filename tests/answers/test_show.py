"""Pages of a cluster: every pin once, whatever the size of a page."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neardup.answers.report import write_report
from neardup.answers.show import cluster_of, members, show
from neardup.cli.main import cli
from neardup.clusters.generations import generation_row
from neardup.clusters.ledger import Ledger
from neardup.clusters.people import commit_waiting
from neardup.clusters.saying import say
from neardup.index.store import PinStore
from neardup.models.classifier import Classifier
from neardup.schemas.errors import LakeError
from neardup.schemas.lake import Lake
from tests.lakes import EVIDENCE, garden, link, pin, write_batch

COPIES = 7
CLASSIFIER = Classifier.load()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One cluster of seven pins, the third of which is largest, and a pin by itself."""
    folder = tmp_path_factory.mktemp("show")
    lake = Lake.create(folder / "lake")
    generation_row(lake, 0, "published", through_batch_seq=-1)
    (folder / "store").mkdir()
    ledger = Ledger.empty(EVIDENCE, PinStore(folder / "store"))
    rows = [
        pin(
            f"copy-{i}",
            0,
            i,
            ordinal=i,
            signature=bytes(128),
            width=900 if i == 2 else 300,
            height=300,
            links=[link(i - 1, 10 + i)] if i else [],
        )
        for i in range(COPIES)
    ]
    alone = pin("alone", 0, 99, ordinal=COPIES, signature=b"\xff" * 128)
    write_batch(lake, ledger, [*rows, alone])
    say(lake, "link", "ada", "same print", pin_id="copy-1", other="copy-5")
    say(lake, "block", "ada", "a logo", pin_id="alone")
    return lake


def run(lake: Lake, *words: str) -> Result:
    return CliRunner().invoke(cli, ["show", *words], env={"NEARDUP_LAKE__PATH": str(lake.path)})


@pytest.mark.parametrize("limit", [1, 2, 3, COPIES, 100])
def test_pages_have_every_pin_once(lake: Lake, limit: int) -> None:
    found, after = [], -1
    while True:
        page = show(lake, CLASSIFIER, "copy-3", limit, after)
        assert page.pins == COPIES and page.best == "copy-2"
        assert len(page.members) <= limit
        found += [pin["pin_id"] for pin in page.members]
        if page.next_after is None:
            break
        assert page.next_after > after
        after = page.next_after
    assert found == [f"copy-{i}" for i in range(COPIES)]


def test_a_member_knows_its_nearest_link_and_the_head(lake: Lake) -> None:
    shown = members(lake, CLASSIFIER, cluster_of(lake, "copy-0"), 100)
    assert [pin["hamming"] for pin in shown] == [None, *range(11, 10 + COPIES)]
    assert [pin["pin_id"] for pin in shown if pin["is_head"]] == [
        show(lake, CLASSIFIER, "copy-0", 1).head
    ]
    page = show(lake, CLASSIFIER, "copy-0", 2, after=2).members
    assert page == shown[3:5]
    scores = EVIDENCE.by_hamming[[13, 14]]
    assert [pin["probability"] for pin in page] == pytest.approx(CLASSIFIER.probability(scores))
    assert shown[0]["probability"] is None


def test_a_page_has_what_people_said_of_its_pins(lake: Lake) -> None:
    assert [row["sequence"] for row in show(lake, CLASSIFIER, "copy-0", 2).said] == [0]
    assert show(lake, CLASSIFIER, "copy-0", 1).said == []
    assert [row["sequence"] for row in show(lake, CLASSIFIER, "alone", 5).said] == [1]


def test_the_command_says_how_to_get_the_next_page(lake: Lake) -> None:
    first = run(lake, "copy-6", "--limit", "3").output.splitlines()
    assert first[0].startswith("cluster 0: 7 pins, head copy-") and "best copy copy-2" in first[0]
    assert first[-2] == "override #0: link copy-1 copy-5 (ada: same print)"
    assert first[-1] == "next page: neardup show 0 --after 2 --limit 3"
    last = run(lake, *first[-1].split()[4:], "--after", "3").output.splitlines()
    assert [line.split()[0] for line in last[1:4]] == ["copy-4", "copy-5", "copy-6"]
    assert "next page" not in last[-1]
    assert "no pins after ordinal 99" in run(lake, "0", "--after", "99").output
    assert run(lake, "0", "--limit", "10001").exit_code == 2


def test_an_unknown_name_is_said(lake: Lake) -> None:
    with pytest.raises(LakeError, match=r"'rose'.*neardup history"):
        show(lake, CLASSIFIER, "rose", 1)


def test_the_report_counts_events_without_what_people_said(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    lake = garden(tmp_path / "lake", tmp_path / "store")
    say(lake, "link", "ada", "one bed", pin_id="rose", other="tulip")
    assert commit_waiting(lake) == 1
    write_report(lake, CLASSIFIER, tmp_path / "report.html")
    assert "<b>7</b>events decided" in (tmp_path / "report.html").read_text("utf-8")
