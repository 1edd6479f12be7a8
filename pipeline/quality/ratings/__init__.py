"""A predicted rating for every judged stay, learnt from the ratings that people gave, with an interval.

`model` fits it and says how well it does on later days. It is a few numbers, stored as JSON in `store.meta`; the views
in `sql` apply it, so that BI tools read predictions like any other table. Where there are too few ratings, or where
they cannot speak for those who gave none, there is a sentence instead.

Read `sql/rated_stays.sql` (what the model sees), then `train`, `model`, and `sql/predicted_ratings.sql`.
"""
