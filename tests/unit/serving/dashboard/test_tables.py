"""Tables of the dashboard: what a cell shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("streamlit", reason="needs the extra `dashboard`")

from streamlit.testing.v1 import AppTest

SCRIPT = """
from pipeline.serving.dashboard.tables import table

table([{"segment": "a", "poor_share": 0.2692}, {"segment": "b", "poor_share": None}])
"""


def test_shares_are_percentages_with_one_decimal(tmp_path: Path) -> None:
    """Every share in a table has the same number of decimals; an unknown one is a dash."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    (shown,) = AppTest.from_file(str(script)).run().dataframe
    assert shown.value["poor_share"].dropna().to_list() == [pytest.approx(26.92)]
    columns = json.loads(shown.proto.columns)
    assert columns["poor_share"]["type_config"]["format"] == "%.1f %%"
    assert shown.proto.placeholder == "–"
