"""Why the poor share changed, for people: what `explain_change` returns, as sentences, a table, JSON and a picture.

Here is the door: `explain` reads an `Explanation` from the published database. The method is in `quality.changes`, the
command in `cli`.

Read `content` (what is known of a change), then `texts` (sentences, rows and JSON) and `picture` (one HTML page).
"""

from pipeline.serving.changes.content import Explanation, Part, Span, explain

__all__ = ["Explanation", "Part", "Span", "explain"]
