"""What the dashboard looks like, in Streamlit. Every query opens the database anew, and sees what was published last.

Here belong layout and what the reader chooses; what is asked stands in `queries`, what columns are called in `columns`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import altair as alt
import streamlit as st

from pipeline.errors import CallMetricsError
from pipeline.planning.completeness import CallCompleteness
from pipeline.planning.problems import sentence
from pipeline.serving.dashboard import ask
from pipeline.serving.dashboard.columns import COLUMNS, Column
from pipeline.settings import Settings

SEGMENTS = {
    "Network": "network_type",
    "Country": "country",
    "Client": "client_name",
    "Client and version": "client_version",
    "Codec": "codec",
}
CLASS_COLORS = {"poor": "#a8324a", "good": "#6fb98f", "unclassified": "#c4c4c4"}  # told apart by lightness too

INSTANT = "%Y-%m-%d %H:%M"


def rows(name: str, **parameters: object) -> list[dict[str, Any]]:
    return ask(Settings.load().warehouse, name, **parameters)


# Pages.


def overview(first: date, last: date) -> None:
    days = rows("days", first=first, last=last)
    held = [day for day in days if day["calls"]]
    poor, good, unclassified = (_sum(held, f"{name}_publishers") for name in ("poor", "good", "unclassified"))
    known, complete = _sum(held, "calls"), _sum(held, "complete_calls")
    for place, (label, value, note) in zip(
        st.columns(4),
        (
            ("Calls", f"{known:,}", f"on {len(held)} of {len(days)} days"),
            ("People", f"{_sum(held, 'users'):,}", "once per call"),
            ("Poor publishers", _percent(poor, poor + good), f"{poor:,} of {poor + good:,} judged"),
            ("Complete calls", _percent(complete, known), f"{known - complete:,} lack something"),
        ),
        strict=True,
    ):
        place.metric(label, value)
        place.caption(note)
    if complete < known:
        lacking = ", ".join(f"{day['session_date']}" for day in held if day["complete_calls"] < day["calls"])
        st.warning(f"Not everything is here of {lacking}: what is missing counts as neither good nor bad.")
    if not held:
        st.info("Nothing is held of these days.")
        return
    st.caption(
        f"Publishers, once per call. Who has too little data is unclassified and in no share: {unclassified:,} here. "
        "A question mark is a day of which nothing is held."
    )
    bars = alt.Chart(
        _values(
            {**day, "class": name, "count": day[f"{name}_publishers"] or 0, "place": place}
            for day in days
            for place, name in enumerate(CLASS_COLORS)
        )
    )
    day_axis = alt.X("session_date:O", title="day (UTC)", axis=alt.Axis(labelAngle=0, labelOverlap="greedy"))
    chart = bars.mark_bar().encode(
        x=day_axis,
        y=alt.Y("count:Q", title="publishers", stack="zero"),
        color=alt.Color(
            "class:N",
            title=None,
            scale=alt.Scale(domain=list(CLASS_COLORS), range=list(CLASS_COLORS.values())),
            legend=alt.Legend(orient="top"),
        ),
        order="place:Q",
        tooltip=_tooltips("session_date", "poor_publishers", "good_publishers", "unclassified_publishers"),
    )
    labels = alt.Chart(
        _values(
            {
                "session_date": day["session_date"],
                "top": sum(day[f"{name}_publishers"] or 0 for name in CLASS_COLORS),
                "text": (_percent(day["poor_publishers"], _judged(day)) if len(days) <= 20 else "")
                if day["calls"]
                else "?",
            }
            for day in days
        )
    )
    text = labels.mark_text(dy=-7, fontSize=11).encode(x=day_axis, y="top:Q", text="text:N")
    st.altair_chart(alt.layer(chart, text), width="stretch", height=320)
    table(days)


def worst_calls(first: date, last: date) -> None:
    st.caption(
        "Many publishers low at the same instant point to the call or its media server; one alone to that person's "
        "network or device. Choose a row to look into the call."
    )
    found = rows("worst_calls", first=first, last=last)
    if not found:
        st.info("No call has a poor publisher in these days. The overview says how many could be judged.")
        return
    sessions = [call["call_session_id"] for call in found]
    # Rows are chosen by their place: another list has another key, and keeps the call that was chosen, not the place.
    key = f"worst {hash(tuple(sessions))}"

    def choose() -> None:
        places = st.session_state[key]["selection"]["rows"]
        st.session_state["worst"] = sessions[places[0]] if places else None

    table(found, on_select=choose, selection_mode="single-row", key=key)
    if chosen := st.session_state.get("worst"):
        one_call(chosen)


def segments(first: date, last: date) -> None:
    by = str(st.selectbox("By", list(SEGMENTS), key="by"))
    found = rows("segments", first=first, last=last, by=SEGMENTS[by])
    if not found:
        st.info("No track of these days could be judged.")
        return
    st.caption(
        "Tracks that were judged good or poor: the share of poor ones with its 95 % Wilson interval. Sorted by the "
        "interval's lower end, so that a segment with few tracks is not the worst by chance."
    )
    chart = alt.Chart(_values(found[:25])).encode(
        y=alt.Y("segment:N", sort=None, title=None, axis=alt.Axis(labelLimit=260)),
        tooltip=_tooltips("segment", "poor_share", "poor_share_low", "poor_share_high", "n"),
    )
    share = alt.Axis(format="%", title="share of poor tracks")
    interval = chart.mark_rule(size=2, color="#888888").encode(
        x=alt.X("poor_share_low:Q", axis=share, scale=alt.Scale(domain=[0, 1])), x2="poor_share_high:Q"
    )
    point = chart.mark_point(filled=True, size=90, color=CLASS_COLORS["poor"], opacity=1).encode(
        x=alt.X("poor_share:Q", axis=share)
    )
    st.altair_chart(interval + point, width="stretch", height=max(120, 60 + 26 * min(len(found), 25)))
    table(found, segment=by)


def any_call(first: date, last: date) -> None:
    names = {
        call["call_session_id"]: f"{call['started_at']:{INSTANT}} {call['call_type']}:{call['call_id']}"
        for call in rows("calls", first=first, last=last)
    }
    if not names:
        st.info("Nothing is held of these days.")
        return
    chosen = st.selectbox("Call (type to search)", list(names), format_func=lambda it: names.get(it, it), key="call")
    if chosen is not None:
        one_call(str(chosen))


def one_call(session: str) -> None:
    """Everything of one call session."""
    for call in rows("call", session=session):
        ended = f"{call['ended_at']:{INSTANT}}" if call["ended_at"] else "still going on"
        at = f"publishers, first at {call['low_at']:%H:%M:%S} UTC" if call["low_at"] else "publishers"
        score = call["source_score"]
        st.subheader(f"{call['call_type']}:{call['call_id']}", anchor=False)
        st.caption(f"{call['started_at']:{INSTANT}} to {ended}, UTC · {session}")
        for place, (label, value, note) in zip(
            st.columns(4),
            (
                ("People", f"{call['users']:,}", f"{call['publishers']:,} published · {call['rejoins']:,} rejoins"),
                ("Poor publishers", f"{call['poor_publishers']:,} of {_judged(call):,}", "of those judged"),
                ("Low at the same time", f"{call['low_at_once']:,}", at),
                ("Stream's score", "–" if score is None else f"{score:.0f}", "0 to 100, as received"),
            ),
            strict=True,
        ):
            place.metric(label, value)
            place.caption(note)
        if not call["is_complete"]:
            problems = CallCompleteness.of_row(call, is_live=call["ended_at"] is None).problems
            st.warning(f"This call is incomplete. {' '.join(map(sentence, problems))}")
    _minutes(rows("call_minutes", session=session))
    st.markdown("**People**")
    table(rows("call_people", session=session))
    st.markdown("**Tracks**")
    table(rows("call_tracks", session=session))


def _minutes(minutes: Sequence[Mapping[str, Any]]) -> None:
    if not minutes:
        st.info("No video data of this call is here.")
        return
    shown, all_users = len({minute["user_id"] for minute in minutes}), minutes[0]["users_with_video"]
    st.caption(
        "Means of each minute: solid for the camera, dashed for a screen share, and broken where there is no data."
        + (f" The {shown} people of {all_users} with the worst video." if shown < all_users else "")
    )
    base = alt.Chart(_values(minutes)).encode(
        x=alt.X("minute:T", title="time (UTC)", scale=alt.Scale(type="utc"), axis=alt.Axis(format="%H:%M")),
        color=alt.Color("user_id:N", title="user", scale=alt.Scale(scheme="tableau10")),
        shape=alt.Shape("user_id:N", title="user"),
        strokeDash=alt.StrokeDash(
            "track_kind:N",
            title="kind",
            scale=alt.Scale(domain=["camera", "screen share"], range=[[1, 0], [5, 3]]),
            legend=None,
        ),
        tooltip=[
            alt.Tooltip("utchoursminutes(minute):T", title="time (UTC)", format="%H:%M"),
            *_tooltips("user_id", "track_kind"),
            alt.Tooltip("framerate:Q", title="frames per second"),
            alt.Tooltip("kbit_per_s:Q", title="kbit/s"),
        ],
    )
    for column, title in (("framerate", "frames per second"), ("kbit_per_s", "kbit/s")):
        lines = base.mark_line(invalid="break-paths-show-domains", point=alt.OverlayMarkDef(size=22)).encode(
            y=alt.Y(f"{column}:Q", title=title, scale=alt.Scale(zero=True))
        )
        st.altair_chart(lines.configure_legend(orient="bottom", columns=10), width="stretch", height=320)


# What they share.


def table(found: Sequence[Mapping[str, Any]], *, key: str | None = None, segment: str = "", **selection: Any) -> None:
    """The rows with headings for readers, and only the columns that have a value."""
    columns = [name for name in (found[0] if found else ()) if any(row[name] not in (None, "") for row in found)]
    config = {name: _config(COLUMNS[name]) for name in columns}
    if segment:
        config["segment"] = _config(COLUMNS["segment"]._replace(label=segment))
    shown = [{name: row[name] for name in columns} for row in found]
    st.dataframe(shown, hide_index=True, column_config=config, placeholder="–", key=key, **selection)


def _config(column: Column) -> Any:
    if column.form == "instant":
        return st.column_config.DatetimeColumn(
            column.label, help=column.explained, format="YYYY-MM-DD HH:mm:ss", timezone="UTC"
        )
    if column.form:
        return st.column_config.NumberColumn(column.label, help=column.explained, format=column.form)
    return st.column_config.Column(column.label, help=column.explained)


def _tooltips(*names: str) -> list[alt.Tooltip]:
    made = []
    for name in names:
        column = COLUMNS[name]
        if form := {"percent": ".1%", "%d": ",d"}.get(column.form):
            made.append(alt.Tooltip(f"{name}:Q", title=column.label, format=form))
        else:
            made.append(alt.Tooltip(f"{name}:N", title=column.label))
    return made


def _values(found: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """As data of a chart, where days and instants are text that says its zone."""
    return {
        "values": [
            {name: it.isoformat() if isinstance(it, date | datetime) else it for name, it in row.items()}
            for row in found
        ]
    }


def _sum(days: Iterable[Mapping[str, Any]], name: str) -> int:
    return sum(day[name] or 0 for day in days)


def _judged(row: Mapping[str, Any]) -> int:
    """How many publishers are poor or good."""
    return int(row["poor_publishers"] + row["good_publishers"])


def _percent(part: int, whole: int) -> str:
    """Rounded down, so that 100 % is all of them."""
    return f"{math.floor(1000 * part / whole) / 10:.1f} %" if whole else "–"


def _chosen_days(first: date, last: date) -> tuple[date, date] | None:
    """The reader's days; until some are chosen the last thirty, of which there may be more at each look."""
    if not st.session_state.get("days chosen"):
        st.session_state["days"] = (max(first, last - timedelta(days=29)), last)

    def choose() -> None:
        st.session_state["days chosen"] = True

    choice = st.date_input("Days (UTC)", key="days", on_change=choose, format="YYYY-MM-DD")
    return choice if isinstance(choice, tuple) and len(choice) == 2 else None


PAGES: dict[str, Callable[[date, date], None]] = {
    "Overview": overview,
    "Worst calls": worst_calls,
    "Who has poor quality": segments,
    "A call": any_call,
}


def main() -> None:
    st.set_page_config("Call quality", layout="wide")
    st.title("Call quality", anchor=False)
    try:
        (held,) = rows("span")
        if held["last"] is None:
            st.info("Nothing has been ingested yet; `call-metrics backfill` or `call-metrics demo` begins.")
            return
        fetched = f"; the newest answer came {held['newest_fetch_at']:{INSTANT}} UTC" if held["newest_fetch_at"] else ""
        st.caption(f"Held: {held['first']} to {held['last']}{fetched}.")
        choice = _chosen_days(held["first"], held["last"])
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
