"""What happened: the calls of a made-up product, and what their source shows of them at any time.

Everything here is plain values and pure functions of a world and a time. JSON, HTTP and everything that can go wrong on
the way stay out: they are in `pipeline.emulator.http`, which imports this package and is never imported by it.

Read in this order:

1. `specs` and `series`: the values that a world is made of, and the data points of a track.
2. `world`: `World`, a set of calls with a seed.
3. `visibility`: the rules about live calls, reports, late data and expiry.
4. `call_totals` and `expected_rows`: what follows from those rules.
5. `demo`, `odd` and `uniform`: the ready-made worlds.

`timestamps` and `clocks` are small helpers that all of the emulator uses.
"""
