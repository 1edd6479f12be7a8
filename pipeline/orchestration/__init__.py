"""Dagster: the steps of a run as assets, with checks, schedules, a sensor and a record of every run.

Here is everything that Dagster shows, starts and records. This is the only room that imports dagster. An asset runs
one step of `flow` and reports what it did. What a step does is in its own room, when a day is complete is decided in
`planning`, and how good its calls were in `quality`. There is no SQL here.

Read `definitions` first (what Dagster loads), then `assets` with `lineage`, `day_quality`, `day_picture`, `incidents`,
`releases` and `markdown` (what an asset reports), `names` (what several apps in one Dagster are called), `checks`,
`schedules` and `sensors` (when a run starts), `resources` with `run_locks` (what a run needs and how its death is
noticed), `runner` with `instance`, `last_runs` and `ui` (for the command line), and `json_logs` (for log collectors).
"""
