"""Settings: one file, the environment over it, and a sentence for each mistake."""

from pathlib import Path

import pytest

from neardup.schemas.errors import SettingsError
from neardup.schemas.settings import load_settings


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = write(
        tmp_path / "neardup.toml",
        '[lake]\npath = "data/lake"\n[events]\nallowed_roots = ["pictures", "/srv"]\n',
    )
    settings = load_settings(config)
    assert settings.lake.path == tmp_path / "data" / "lake"
    assert settings.events.allowed_roots == (tmp_path / "pictures", Path("/srv"))
    assert settings.checkpoint == tmp_path / "data" / "lake" / "_checkpoints" / "stream"


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write(tmp_path / "n.toml", '[kafka]\ntopic = "a"\nbootstrap_servers = "h:1"\n')
    monkeypatch.setenv("NEARDUP_KAFKA__TOPIC", "b")
    settings = load_settings(config)
    assert (settings.kafka.topic, settings.kafka.bootstrap_servers) == ("b", "h:1")
    assert "kafka.topic = b" in settings.describe()


def test_query_views_are_a_set_in_a_fixed_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings().stream.query_views == ()
    config = write(tmp_path / "n.toml", '[stream]\nquery_views = ["turns", "mirror", "turns"]\n')
    assert load_settings(config).stream.query_views == ("mirror", "turns")
    monkeypatch.setenv("NEARDUP_STREAM__QUERY_VIEWS", '["turns"]')
    assert load_settings(config).stream.query_views == ("turns",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[kafka]\ntopc = 1\n", "kafka.topc: there is no such setting"),
        ("[stream]\nmax_links = 0\n", "NEARDUP_STREAM__MAX_LINKS"),
        ('[kafka]\nbootstrap_servers = "localhost"\n', "'localhost' is not host:port"),
        ("[kafka\n", "is not TOML"),
        (
            '[stream]\nquery_views = ["mirror", "flip"]\n',
            "'flip' is no view; there are mirror, turns. Mend it in the file or set "
            "NEARDUP_STREAM__QUERY_VIEWS.",
        ),
    ],
)
def test_mistakes_are_sentences(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path / "n.toml", text))
    assert said in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="give --config another path"):
        load_settings(tmp_path / "absent.toml")
