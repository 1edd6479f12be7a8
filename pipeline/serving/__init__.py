"""How people read the published database: ad-hoc SQL, a server for other machines, reports of calls, a dashboard,
a server for assistants.

Here is everything that turns the published database into text, pages or a network service. All of it opens the
database read-only. What the figures mean is decided in `quality` (how good) and `planning` (how complete); how the
database is filled and published is in `warehouse`; the commands that call these modules are in `cli`.

Read `query` (`call-metrics sql`) first. The other parts can each be read alone: `server` with `publication` and
`access_token` (`call-metrics serve`), `report` (`call-metrics report`), `dashboard` (`call-metrics dashboard`),
`mcp` (`call-metrics mcp`). The report and the dashboard share `formatting`; servers share `health`.
"""
