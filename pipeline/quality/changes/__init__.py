"""Why the poor share changed between two spans of days: the table macro `explain_change`, in `sql/`.

What the figures mean, with sources, is in `docs/answers/changes.md`. Views of single spans are in `quality` itself; the
command and its texts are in `serving.changes`.
"""
