"""Who has left is forgotten: by us, and by gradio, which would keep a megabyte of every session for good."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from gradio.state_holder import StateHolder

from udp.ui import page
from udp.ui.page import build, launch_options
from udp.ui.state.owner import Owner
from udp.ui.state.sessions import Sessions


def gone(known: StateHolder, key: str, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while key in known and time.monotonic() < end:
        time.sleep(0.02)
    return key not in known and key not in known.time_last_used


def test_gradio_forgets_who_has_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    made: list[Sessions] = []
    monkeypatch.setattr(page, "Sessions", lambda *values: made.append(Sessions(*values)) or made[-1])
    demo = build(Owner(keep_minutes=0.001))
    known = StateHolder()
    known.set_blocks(demo)
    for key in ("leaves", "stays"):
        known[key]
        made[0].get(key)
    made[0].leave("leaves")
    assert gone(known, "leaves") and "stays" in known
    assert launch_options()["state_session_capacity"] == page.MOST_SESSIONS
