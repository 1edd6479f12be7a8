"""Why the poor share changed, for people: what `explain_change` returns, as sentences, a table, JSON and a picture.

Here is the door: `explain` reads an `Explanation` from the published database. Sentences and rows are in `texts`, the
picture is in `picture`. The method is in `quality.changes`, the command in `cli`.
"""

from pipeline.serving.changes.content import Explanation, Part, Span, explain

__all__ = ["Explanation", "Part", "Span", "explain"]
