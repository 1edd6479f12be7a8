"""How good the calls were: statistics per track, thresholds that users edit, and the views for analysts.

Here is what is computed for each track when a day is loaded (`track_statistics`), what counts as low, short or enough
(`thresholds`), the views with the comments on their columns (`views`), a day in a few numbers (`day`), when many people
got worse at the same time (`incidents`), why a share changed (`changes`), whether a release made it worse (`releases`),
and the rating that people would give (`ratings`). No rule of quality is anywhere else. How points are stored and loaded
is in `warehouse`; how complete a day is, is decided in `planning`; reports and dashboard are in `serving`, and what
Dagster shows is in `orchestration`.

Read `thresholds`, `track_statistics` and `sql/store.sql` (its tables), then `views` with `sql/track_quality.sql`, from
which most other views follow, and `day` with `sql/day_publishers.sql` and `sql/day_framerate.sql`. `incidents` stands
alone: `tables` uses it.
"""
