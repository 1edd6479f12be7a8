"""What the dashboard looks like, in Streamlit. Every query opens the database anew, and sees what was published last.

Here belong layout and what the reader chooses; what is asked stands in `queries`.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import streamlit as st

from pipeline.dashboard import ask
from pipeline.errors import CallMetricsError
from pipeline.settings import Settings

SEGMENTS = {
    "Network": "network_type",
    "Country": "country",
    "Client": "client_name",
    "Client and version": "client_version",
    "Codec": "codec",
}
CLASS_COLORS = ("#46a485", "#8f3d56", "#c4c4c4")
"""Of good, poor and unclassified."""

SHARE = st.column_config.NumberColumn(format="percent")


def rows(name: str, **parameters: object) -> list[dict[str, Any]]:
    return ask(Settings.load().warehouse, name, **parameters)


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def overview(first: date, last: date) -> None:
    days = rows("days", first=first, last=last)
    judged = sum(day["poor_publishers"] + day["good_publishers"] for day in days)
    expected = sum(day["windows_expected"] for day in days)
    calls, people, poor, complete = st.columns(4)
    calls.metric("Calls", sum(day["calls"] for day in days))
    people.metric("People in calls", sum(day["users"] for day in days))
    poor.metric(
        "Poor, of those judged", percent(sum(day["poor_publishers"] for day in days) / judged if judged else None)
    )
    complete.metric(
        "Windows ingested", percent(1 - sum(day["windows_open"] for day in days) / expected if expected else None)
    )
    st.caption("A publisher counts once per call. Who has too little data is unclassified, and never good.")
    st.bar_chart(
        days,
        x="session_date",
        y=["good_publishers", "poor_publishers", "unclassified_publishers"],
        x_label="day (UTC)",
        y_label="publishers",
        color=[*CLASS_COLORS],
    )
    st.dataframe(days, hide_index=True, column_config={"poor_share": SHARE})


def worst_calls(first: date, last: date) -> None:
    st.caption(
        "Many publishers low at the same instant point to the call or its media server; one alone to that person's "
        "network or device. Choose a row to look into the call."
    )
    found = rows("worst_calls", first=first, last=last)
    chosen = st.dataframe(
        found,
        hide_index=True,
        column_config={"poor_share": SHARE},
        on_select="rerun",
        selection_mode="single-row",
        key="worst",
    )
    if places := chosen["selection"]["rows"]:
        one_call(found[places[0]]["call_session_id"])


def segments(first: date, last: date) -> None:
    by = SEGMENTS[str(st.selectbox("By", list(SEGMENTS)))]
    found = rows("segments", first=first, last=last, by=by)
    st.caption(
        "Tracks that were judged good or poor, and the share of poor ones with its 95 % Wilson interval. Sorted by the "
        "interval's lower end, so that a segment with few tracks is not the worst by chance."
    )
    st.bar_chart(found, x="segment", y="poor_share", sort=False, horizontal=True, x_label="share of poor tracks")
    shares = dict.fromkeys(("poor_share", "poor_share_low", "poor_share_high"), SHARE)
    st.dataframe(found, hide_index=True, column_config=shares)


def any_call(first: date, last: date) -> None:
    found = rows("calls", first=first, last=last)
    names = {
        call["call_session_id"]: f"{call['started_at']:%Y-%m-%d %H:%M} {call['call_type']}:{call['call_id']}"
        for call in found
    }
    chosen = st.selectbox("Call (type to search)", list(names), format_func=lambda session: names[session])
    if chosen is not None:
        one_call(str(chosen))


def one_call(session: str) -> None:
    """Everything of one call session."""
    for call in rows("call", session=session):
        st.subheader(f"{call['call_type']}:{call['call_id']}")
        st.dataframe([call], hide_index=True, column_config={"poor_share": SHARE})
    minutes = rows("call_minutes", session=session)
    if minutes:
        st.line_chart(minutes, x="minute", y="framerate", color="track", y_label="frames per second")
        st.line_chart(minutes, x="minute", y="kbit_per_s", color="track", y_label="kbit/s")
    else:
        st.caption("No video in this call.")
    st.markdown("**People**")
    st.dataframe(rows("call_people", session=session), hide_index=True)
    st.markdown("**Tracks**")
    shares = dict.fromkeys(("coverage", "low_framerate_share", "downscale_share"), SHARE)
    st.dataframe(rows("call_tracks", session=session), hide_index=True, column_config=shares)


def main() -> None:
    st.set_page_config("Call quality", layout="wide")
    st.title("Call quality")
    try:
        (held,) = rows("span")
        if held["last"] is None:
            st.info("Nothing has been ingested yet; `call-metrics backfill` or `call-metrics demo` begins.")
            return
        first, last = held["first"], held["last"]
        choice = st.date_input("Days (UTC)", (max(first, last - timedelta(days=29)), last), first, last)
        if not isinstance(choice, tuple) or len(choice) != 2:
            st.stop()
        pages = {"Overview": overview, "Worst calls": worst_calls, "Who has poor quality": segments, "A call": any_call}
        for tab, page in zip(st.tabs(list(pages)), pages.values(), strict=True):
            with tab:
                page(*choice)
    except CallMetricsError as error:
        st.error(str(error))


main()
