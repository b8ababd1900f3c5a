"""What is loaded is frozen at the end of a task, and only where something was loaded."""

import gc
import sys
from types import ModuleType

import pytest

from neardup.streaming.garbage import keep_what_is_loaded


def test_what_is_loaded_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = gc.get_freeze_count()
    try:
        monkeypatch.setitem(sys.modules, "loaded_by_a_task", ModuleType("loaded_by_a_task"))
        keep_what_is_loaded()
        frozen = gc.get_freeze_count()
        assert frozen > before + 1_000
        held = [[i] for i in range(1_000)]
        keep_what_is_loaded()  # nothing was loaded since: rows of a task are not kept
        assert abs(gc.get_freeze_count() - frozen) < len(held) // 2
        monkeypatch.setitem(sys.modules, "loaded_later", ModuleType("loaded_later"))
        keep_what_is_loaded()
        # What was frozen may be freed meanwhile, so the count is not exact.
        assert gc.get_freeze_count() > frozen + len(held) // 2
    finally:
        gc.unfreeze()
