"""Alerts: what needs a person is told, once, and once more when it is over.

A cause is something that is wrong and that a person can act on. A look collects facts and makes causes of them; what is
open and who was told is remembered in one file of the data folder; messages go out through the library Apprise. Checks
and sentences are those of the rooms below. Schedules and sensors are in `orchestration`, the command in `cli`.

Read `causes` (facts become causes), `facts` (where they come from), `state` (what is open and told), `messages`, `send`
(the only module that knows the library), and `teller` (all of it together, and what a run calls when it ends).
"""
