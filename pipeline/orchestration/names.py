"""What an app is called in Dagster: the keys of its assets, its pools, and the tag of its runs.

Several apps are code locations of one Dagster, which knows assets and pools by name alone. So those of an app with a
name begin with it. Jobs, schedules and sensors belong to a code location and need no prefix.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["APP_TAG", "AppNames"]

APP_TAG = "app"
"""Tag of every run of an app with a name, for limits in the queue and to find them."""


@dataclass(frozen=True)
class AppNames:
    """The names of an app; of one without a name they have no prefix."""

    app: str | None = None

    def key(self, *parts: str) -> list[str]:
        """Return the key of an asset, such as ["support", "raw", "call_stats"]."""
        return [*self._prefix, *parts]

    def pool(self, name: str) -> str:
        """Return the name of a pool, such as support/stream_api: each app has a quota of its own."""
        return "/".join([*self._prefix, name])

    def table(self, name: str) -> str:
        """Return the name of a table of the warehouse, such as support.tracks."""
        return ".".join([*self._prefix, name])

    @property
    def tags(self) -> dict[str, str]:
        """The tags of runs."""
        return {APP_TAG: self.app} if self.app else {}

    @property
    def _prefix(self) -> list[str]:
        return [self.app] if self.app else []
