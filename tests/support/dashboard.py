"""What tests of the dashboard share: a day with two calls of two people each, and a page as Streamlit runs it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipeline.emulator import uniform_world
from pipeline.serving import dashboard

DAY = date(2026, 11, 2)
WORLD = uniform_world(DAY, calls=2, people=2, minutes=40, step_seconds=60)


def page(name: str) -> Any:
    """Return a page of the dashboard, as Streamlit runs it. Skips the test if Streamlit is not installed."""
    testing = pytest.importorskip("streamlit.testing.v1.app_test", reason="Streamlit comes with the extra dashboard")
    testing.TMP_DIR.cleanup()  # it would warn at exit; it is for pages that are given as text
    app = testing.AppTest.from_file(str(Path(dashboard.__file__).with_name("app.py")), default_timeout=60)
    app.session_state["page"] = name
    return app.run()
