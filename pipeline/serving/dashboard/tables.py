"""How tables look: headings for readers, and only the columns that have a value.

What the headings say is in `columns`. Which rows a table has is decided by the queries in `sql`, and where it is placed
by `app`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pipeline.serving.dashboard.columns import COLUMNS, Column

__all__ = ["table"]


def table(rows: Sequence[Mapping[str, Any]], *, key: str | None = None, segment: str = "", **selection: Any) -> None:
    """Draw a table. `segment` is the heading of that column; `selection` are options of `st.dataframe`."""
    columns = [name for name in (rows[0] if rows else ()) if any(row[name] not in (None, "") for row in rows)]
    config = {name: _config(COLUMNS[name]) for name in columns}
    if segment:
        config["segment"] = _config(COLUMNS["segment"]._replace(label=segment))
    shown = [{name: _number(COLUMNS[name], row[name]) for name in columns} for row in rows]
    st.dataframe(shown, hide_index=True, column_config=config, placeholder="–", key=key, **selection)


def _number(column: Column, value: Any) -> Any:
    """Return the number that a cell shows: a share as a percentage, since Streamlit varies the decimals of shares."""
    return value if column.form != "percent" or value is None else 100 * value


def _config(column: Column) -> Any:
    if column.form == "instant":
        return st.column_config.DatetimeColumn(
            column.label, help=column.explained, format="YYYY-MM-DD HH:mm:ss", timezone="UTC"
        )
    if column.form:
        form = "%.1f %%" if column.form == "percent" else column.form
        return st.column_config.NumberColumn(column.label, help=column.explained, format=form)
    return st.column_config.Column(column.label, help=column.explained)
