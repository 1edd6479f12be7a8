"""Incidents: many people getting worse at the same time, told from single bad connections. NumPy and Arrow only.

From the data points of a day's cameras to the rows of the tables `incidents` and `incident_calls`, as pure functions.
Nothing here depends on the thresholds that users edit: each camera is compared with itself, and each place with the
rest of its day. Who collects a day's points and writes the tables is in `tables`.

Read `camera_minutes` (data points become minutes), `episodes` (minutes become times that were worse than usual),
`publishers` (who is in which call, network and scope), `rates` (what is usual), `evidence` (how much speaks for an
incident), `search` (which moments and scopes are tested, and which is chosen), `describe` (the rows).
"""
