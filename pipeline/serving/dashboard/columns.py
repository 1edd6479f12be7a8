"""The columns of the queries as a reader sees them: headings with units, formats, explanations.

How tables and charts use them is in `tables` and `charts`.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COLUMNS", "Column"]


class Column(NamedTuple):
    """A column as a reader sees it.

    Attributes:
        label: its heading, with the unit.
        form: how it is formatted: `percent` (a share from 0 to 1), a printf format, `instant` (UTC), or "" for
            the value itself.
        explained: what the heading means, if it is not obvious.
    """

    label: str
    form: str = ""
    explained: str | None = None


CLASS = "good, poor, or unclassified: too little data for a verdict, which never counts as good"

COLUMNS = {
    "session_date": Column("Day (UTC)"),
    "calls": Column("Calls", "%d"),
    "complete_calls": Column("Complete", "%d", "Calls that have ended and of which nothing is missing"),
    "users": Column("People", "%d", "Users who took part, once per call"),
    "good_publishers": Column("Good", "%d", "Publishers with a good track and no poor one, once per call"),
    "poor_publishers": Column("Poor", "%d", "Publishers with a poor track, once per call"),
    "unclassified_publishers": Column("Unclassified", "%d", "Publishers with too little data for a verdict"),
    "poor_share": Column("Poor share", "percent", "Share of those who could be judged; empty if no one could"),
    "poor_share_low": Column("from", "percent", "Lower end of the 95 % Wilson interval"),
    "poor_share_high": Column("to", "percent", "Upper end of the 95 % Wilson interval"),
    "source_score": Column("Stream's score", "%.0f", "0 to 100; its formula is not documented"),
    "windows_due_or_suspect": Column(
        "Windows due or suspect", "%d", "Windows without a final response, or whose timestamps cannot be right"
    ),
    "stays_missing": Column("Missing stays", "%d", "Stays that the source counts and that are not stored"),
    "days_until_forgotten": Column(
        "Days left", "%.0f", "Until the source drops the list of participants; below 0 afterwards"
    ),
    "started_at": Column("Started (UTC)", "instant"),
    "ended_at": Column("Ended (UTC)", "instant"),
    "call_type": Column("Type"),
    "call_id": Column("Call"),
    "call_session_id": Column("Call session"),
    "publishers": Column("Publishers", "%d", "Users with a published track"),
    "low_at_once": Column("Low at once", "%d", "Most publishers with a low frame rate at the same instant"),
    "low_at": Column("First time (UTC)", "instant", "The first instant at which so many were low"),
    "rejoins": Column("Rejoins", "%d"),
    "warnings": Column("Warnings", "%d"),
    "scope": Column("Scope", "", "Whom it is about: everything, one media server, country, network or client"),
    "scope_value": Column("Which"),
    "affected": Column("Affected", "%d", "Publishers who got worse, compared with themselves"),
    "expected": Column("Expected", "%.1f", "How many of the publishers get worse in as many minutes as usual"),
    "excess": Column("Excess", "%.1f", "Affected less expected"),
    "affected_minutes": Column("Minutes worse", "%d", "Summed over the affected"),
    "call_started_at": Column("Call started (UTC)", "instant"),
    "client_name": Column("Client"),
    "client_version": Column("Version"),
    "first_day": Column("First seen"),
    "last_day": Column("Last seen"),
    "judged": Column("Judged", "%d", "Publishers' stays that were judged good or poor"),
    "poor_stays": Column("Poor", "%d", "Publishers' stays with a poor track"),
    "verdict": Column("Verdict", "", "Compared with the version before, whatever day one looks"),
    "baseline_version": Column("Compared with"),
    "difference": Column("Difference", "percent", "Of the poor share, on like networks and countries"),
    "difference_low": Column("from", "percent", "Lower end of its interval, valid however often one looks"),
    "difference_high": Column("to", "percent", "Upper end of its interval"),
    "segment": Column("Segment"),
    "n": Column("Tracks judged", "%d"),
    "poor": Column("Poor", "%d"),
    "tracks": Column("Tracks", "%d"),
    "hours": Column("Hours sent", "%.1f"),
    "user_id": Column("User"),
    "class": Column("Verdict", "", CLASS),
    "poor_due_to": Column("Poor due to"),
    "due_to": Column("Due to"),
    "joined_at": Column("Joined (UTC)", "instant"),
    "left_at": Column("Left (UTC)", "instant", "Empty while still there, or if the source has no leave"),
    "published_minutes": Column("Sent, min", "%.1f"),
    "seconds_to_first_media": Column("First media, s", "%.1f", "From joining to the first data; some publish later"),
    "poor_tracks": Column("Poor tracks", "%d"),
    "worst_track_kind": Column("Worst track"),
    "worst_framerate_p5": Column("Its fps, p5", "%.1f", "Frames per second that 5 % of the time does not exceed"),
    "network_type": Column("Network"),
    "client": Column("Client"),
    "sdk": Column("SDK"),
    "browser": Column("Browser"),
    "os": Column("System"),
    "place": Column("Place", "", "From the IP address"),
    "latency_ms": Column("Latency, ms", "%.0f"),
    "jitter_ms": Column("Jitter, ms", "%.0f"),
    "freeze_seconds": Column("Saw freezes, s", "%.1f", "Time that video froze for this person, as a receiver"),
    "current_sfu": Column("Media server"),
    "distance_to_sfu_kilometers": Column("Distance to it, km", "%.0f"),
    "track_kind": Column("Kind"),
    "codec": Column("Codec"),
    "active_minutes": Column("With data, min", "%.1f"),
    "coverage": Column("Coverage", "percent", "Share of the stay with data"),
    "framerate_mean": Column("fps, mean", "%.1f"),
    "framerate_p5": Column("fps, p5", "%.1f", "Frames per second that 5 % of the time does not exceed"),
    "low_framerate_share": Column("Low fps", "percent", "Share of the time under the low frame rate of its kind"),
    "send_stall_seconds": Column("Sent no frame, s", "%.0f", "Between two times with frames"),
    "kbit_per_s": Column("kbit/s", "%.0f"),
    "height_p95": Column("Height, px", "%d", "Shorter side that 95 % of the time does not exceed"),
    "downscale_share": Column("Downscaled", "percent", "Share of the time below that height"),
    "track_id": Column("Track"),
}
