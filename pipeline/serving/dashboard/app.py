"""The pages of the dashboard, in Streamlit, and what the reader chooses on them. Two more are in `answers`.

Every query opens the published database again, and so sees what was published last. Queries are in `sql`, charts in
`charts`, tables in `tables`. Streamlit runs this file as a script, from top to bottom, whenever the reader changes
something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import streamlit as st

from pipeline.errors import CallMetricsError
from pipeline.planning.completeness import CallCompleteness, row_problems
from pipeline.planning.problems import Problem, calls_still_live, counted
from pipeline.quality.incidents.sentences import incident_sentence
from pipeline.serving.dashboard import run_query
from pipeline.serving.dashboard.answers import changes, releases
from pipeline.serving.dashboard.charts import poor_share_by_segment, publishers_by_day, video_by_minute
from pipeline.serving.dashboard.tables import table
from pipeline.serving.formatting import percent, share
from pipeline.settings import Settings

Row = Mapping[str, Any]

# Constants have comments here: Streamlit would draw strings after them on the page.

# Names of the segments, with the value of `$by` in `sql/segments.sql`.
SEGMENTS = {
    "Network": "network_type",
    "Country": "country",
    "Client": "client_name",
    "Client and version": "client_version",
    "Codec": "codec",
}

MAX_SEGMENTS = 25  # in the chart
MAX_INCOMPLETE_DAYS = 5  # whose problems are listed
DAYS_AT_FIRST = 30  # shown until the reader chooses others

INSTANT = "%Y-%m-%d %H:%M"


def rows(name: str, **parameters: object) -> list[dict[str, Any]]:
    """Return the rows of a query on the published database."""
    return run_query(Settings.load().warehouse, name, **parameters)


# Pages.


def overview(first: date, last: date) -> None:
    """Show all calls by day: how many, how good, how complete."""
    days = rows("days", first=first, last=last)
    stored = [day for day in days if day["calls"]]
    _totals(stored, len(days))
    if incomplete := rows("incomplete_days", first=first, last=last):
        st.warning(_incomplete_days(incomplete))
    if not stored:
        st.info("Nothing is stored for these days.")
        return
    st.caption(
        "Publishers, once per call. Those with too little data are unclassified and in no share: "
        f"{_sum(stored, 'unclassified_publishers'):,} here. A question mark is a day without any stored data."
    )
    st.altair_chart(publishers_by_day(days), width="stretch", height=320)
    table(days)


def worst_calls(first: date, last: date) -> None:
    """Show the calls with the most poor publishers, and the one that the reader chooses."""
    st.caption(
        "Many publishers low at the same instant point to the call or its media server; one alone points to that "
        "person's network or device. Choose a row to look into the call."
    )
    found = rows("worst_calls", first=first, last=last)
    if not found:
        st.info("No call has a poor publisher in these days. The overview shows how many could be judged.")
        return
    if chosen := _chosen(found, "worst", ("call_session_id",)):
        one_call(*chosen)


def incidents(first: date, last: date) -> None:
    """Show when many people got worse at the same time, the calls of the chosen incident, and the chosen call."""
    st.caption(
        "Many people of one media server, country, network or client who got worse at the same time, more than usual "
        "there. People in one call or on one network count as one witness. Choose a row to see its calls."
    )
    found = rows("incidents", first=first, last=last)
    if not found:
        st.info("No incident was found in these days.")
        return
    ids = ("session_date", "started_at", "scope", "scope_value")
    chosen = _chosen(found, "incident", ids)
    for incident in found:
        if chosen == tuple(incident[name] for name in ids):
            _one_incident(incident)


def segments(first: date, last: date) -> None:
    """Show the share of poor tracks by network, country, client or codec."""
    by = str(st.selectbox("By", list(SEGMENTS), key="by"))
    found = rows("segments", first=first, last=last, by=SEGMENTS[by])
    if not found:
        st.info("No track of these days could be judged.")
        return
    st.caption(
        "Tracks that were judged good or poor: the share of poor ones with its 95 % Wilson interval. Sorted by the "
        "interval's lower end, so that a segment with few tracks is not the worst by chance."
    )
    charted = found[:MAX_SEGMENTS]
    st.altair_chart(poor_share_by_segment(charted), width="stretch", height=max(120, 60 + 26 * len(charted)))
    table(found, segment=by)


def any_call(first: date, last: date) -> None:
    """Show the call that the reader chooses from a list of all."""
    names = {
        call["call_session_id"]: f"{call['started_at']:{INSTANT}} {call['call_type']}:{call['call_id']}"
        for call in rows("calls", first=first, last=last)
    }
    if not names:
        st.info("Nothing is stored for these days.")
        return
    chosen = st.selectbox(
        "Call (type to search)", list(names), format_func=lambda session: names.get(session, session), key="call"
    )
    if chosen is not None:
        one_call(str(chosen))


# Parts of pages.


def one_call(session: str) -> None:
    """Show everything about one call session."""
    for call in rows("call", session=session):
        _call_header(call, session)
    _video(rows("call_minutes", session=session))
    st.markdown("**People**")
    table(rows("call_people", session=session))
    st.markdown("**Tracks**")
    table(rows("call_tracks", session=session))


def _chosen(found: Sequence[Row], name: str, ids: tuple[str, ...]) -> tuple[Any, ...] | None:
    """Show a table, and return the ids of the row that the reader chose. `name` is where the choice is kept."""
    keys = [tuple(row[column] for column in ids) for row in found]
    # Streamlit keeps the position of the chosen row under the key of the table. Another list gets another key, so that
    # the chosen row stays, and not its position.
    key = f"{name} {hash(tuple(keys))}"

    def choose() -> None:
        positions = st.session_state[key]["selection"]["rows"]
        st.session_state[name] = keys[positions[0]] if positions else None

    table(found, on_select=choose, selection_mode="single-row", key=key)
    return st.session_state.get(name)


def _calls_to_choose(found: Sequence[Row], name: str) -> None:
    """Show calls, and the one that the reader chooses. `name` is where the choice is kept."""
    if chosen := _chosen(found, name, ("call_session_id",)):
        one_call(*chosen)


def _one_incident(incident: Row) -> None:
    """Show an incident in a sentence, its calls, and the call that the reader chooses."""
    st.text(incident_sentence(incident))
    names = ("started_at", "scope", "scope_value")
    calls = rows("incident_calls", day=incident["session_date"], **{name: incident[name] for name in names})
    if chosen := _chosen(calls, "incident call", ("call_session_id",)):
        one_call(*chosen)


def _totals(stored: Sequence[Row], days: int) -> None:
    """Show totals over all days. `stored` are the days with data, `days` is the number of all."""
    poor, good = _sum(stored, "poor_publishers"), _sum(stored, "good_publishers")
    calls, complete = _sum(stored, "calls"), _sum(stored, "complete_calls")
    _metrics(
        ("Calls", f"{calls:,}", f"on {len(stored)} of {days} days"),
        ("People", f"{_sum(stored, 'users'):,}", "once per call"),
        ("Poor publishers", percent(share(poor, poor + good)), f"{poor:,} of {poor + good:,} judged"),
        ("Complete calls", percent(share(complete, calls)), f"{calls - complete:,} incomplete"),
    )


def _incomplete_days(days: Sequence[Row]) -> str:
    """Return what is missing of incomplete days, as Markdown."""
    lines = [f"- {day['session_date']}: {'; '.join(map(str, _problems(day)))}" for day in days[:MAX_INCOMPLETE_DAYS]]
    if len(days) > MAX_INCOMPLETE_DAYS:
        lines.append(f"- and {counted(len(days) - MAX_INCOMPLETE_DAYS, 'more day')}")
    return "\n".join(["Some days are incomplete. What is missing counts as neither good nor bad.\n", *lines])


def _problems(day: Row) -> list[Problem]:
    """Return what is missing of a day, from its row of `incomplete_days`."""
    live = day["live_calls"]
    problems = [calls_still_live(live, day["live_at"])] if live else []
    if day["incomplete_calls"] > live:
        problems += CallCompleteness.of_row({**day, "is_complete": False}, is_live=False).problems
    return problems


def _call_header(call: Row, session: str) -> None:
    """Show the name of a call session, its main figures, and what is missing of it."""
    ended = f"{call['ended_at']:{INSTANT}}" if call["ended_at"] else "still live"
    at = f"publishers, first at {call['low_at']:%H:%M:%S} UTC" if call["low_at"] else "publishers"
    score = call["source_score"]
    poor, good = call["poor_publishers"], call["good_publishers"]
    st.subheader(f"{call['call_type']}:{call['call_id']}", anchor=False)
    st.caption(f"{call['started_at']:{INSTANT}} to {ended}, UTC · {session}")
    _metrics(
        ("People", f"{call['users']:,}", f"{call['publishers']:,} published · {call['rejoins']:,} rejoins"),
        ("Poor publishers", f"{poor:,} of {poor + good:,}", "of those judged"),
        ("Low at the same time", f"{call['low_at_once']:,}", at),
        ("Stream's score", "–" if score is None else f"{score:.0f}", "0 to 100, as received"),
    )
    if problems := row_problems(call, is_live=bool(call["is_live"]), live_at=call["live_at"]):
        st.warning(f"This call is incomplete. {' '.join(problems)}")


def _video(minutes: Sequence[Row]) -> None:
    """Show the video of a call session over time."""
    if not minutes:
        st.info("No video data of this call is stored.")
        return
    shown, all_users = len({minute["user_id"] for minute in minutes}), minutes[0]["users_with_video"]
    st.caption(
        "Means per minute: solid for the camera, dashed for a screen share, broken where there is no data."
        + (f" Shown are the {shown} people of {all_users} with the worst video." if shown < all_users else "")
    )
    for chart in video_by_minute(minutes):
        st.altair_chart(chart, width="stretch", height=320)


def _metrics(*metrics: tuple[str, str, str]) -> None:
    """Show figures beside each other: label, value, note."""
    for place, (label, value, note) in zip(st.columns(len(metrics)), metrics, strict=True):
        place.metric(label, value)
        place.caption(note)


def _sum(days: Iterable[Row], name: str) -> int:
    return sum(day[name] or 0 for day in days)


def _chosen_days(first: date, last: date) -> tuple[date, date] | None:
    """Return the days that the reader chose, from the first to the last; None if only the first is chosen.

    Until a choice these are the last thirty, which move on while the page is open.
    """
    if not st.session_state.get("days chosen"):
        st.session_state["days"] = (max(first, last - timedelta(days=DAYS_AT_FIRST - 1)), last)

    def choose() -> None:
        st.session_state["days chosen"] = True

    choice = st.date_input("Days (UTC)", key="days", on_change=choose, format="YYYY-MM-DD")
    return choice if isinstance(choice, tuple) and len(choice) == 2 else None


PAGES: dict[str, Callable[[date, date], None]] = {
    "Overview": overview,
    "Worst calls": worst_calls,
    "Incidents": incidents,
    "Releases": lambda first, last: releases(first, last, _calls_to_choose),
    "Changes": lambda first, last: changes(first, last, _calls_to_choose),
    "Who has poor quality": segments,
    "A call": any_call,
}


def main() -> None:
    """Show the page."""
    st.set_page_config("Call quality", layout="wide")
    st.title("Call quality", anchor=False)
    try:
        (stored,) = rows("span")
        if stored["last"] is None:
            st.info("Nothing is stored yet; run `call-metrics backfill` or `call-metrics demo`.")
            return
        newest = stored["newest_fetch_at"]
        fetched = f" The newest response came at {newest:{INSTANT}} UTC." if newest else ""
        st.caption(f"Stored: {stored['first']} to {stored['last']}.{fetched}")
        choice = _chosen_days(stored["first"], stored["last"])
        if choice is None:
            st.info("Choose the last day too.")
            return
        for tab, page in zip(st.tabs(list(PAGES), key="page", on_change="rerun"), PAGES.values(), strict=True):
            if tab.open:
                with tab:
                    page(*choice)
    except CallMetricsError as error:
        st.error(str(error))


main()
