"""From what has landed to what should exist, what is still due, and what is missing.

Here are the rules: which windows a stay has, when a response is final, when a listing must be repeated, when a call and
a day are complete, and the sentences that say what is missing. They are pure functions over frozen values; only
`listings` and `inventory` read raw responses, and only `pruned` and `judged` write files. How a request is sent is in
`extract`; what becomes a table row is in `tables`.

Read `windows` and `facts` (values), `due` (rules), then `listings` and `inventory` (what has landed of a day, as such
values), `completeness` with `problems` (the one judgement of what is missing, and its words), and `pruned` (what is
known of days whose raw responses were removed). `judged` keeps judgements, so that many days are shown quickly.
"""
