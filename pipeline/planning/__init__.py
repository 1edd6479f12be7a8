"""From what has landed to what should exist, what is still due, and what is missing.

Here are the rules: which windows a stay has, when a response is final, when a listing must be repeated, when a call and
a day are complete, and the sentences that say what is missing. They are pure functions over frozen values; only
`listings` and `inventory` read raw responses. How a request is sent is in `extract`; what becomes a table row is in
`tables`.

Read `windows` and `facts` (values), `due` (rules), then `listings` and `inventory` (what has landed of a day, as such
values), and `completeness` with `problems` (the one judgement of what is missing, and its words).
"""
