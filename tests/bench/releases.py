"""How often a release is called worse that is, and one that is not, if a job looks on each of 60 nights.

    python -m tests.bench.releases [--worlds N]

Worlds are made as stays in tables, see `tests/support/release_nights.py`, and judged by the view `release_comparison`.
For comparison, the same nights are judged by a plain test: the difference of the shares of stays, with the usual normal
interval of 95 %.
"""

from __future__ import annotations

import argparse
import time

from tests.support.release_nights import NIGHTS, SCENARIOS, judge


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=200, help="worlds of each kind (default: 200)")
    parser.add_argument("--kind", choices=[*SCENARIOS], help="one kind alone (default: all)")
    given = parser.parse_args()
    print(f"{given.worlds} worlds of each kind, {NIGHTS} looks: worlds with a release called so on any night")
    print(f"{'world':22}{'worse':>8}{'better':>8}{'plain test: worse':>19}{'seconds':>9}")
    for name in [given.kind] if given.kind else SCENARIOS:
        began = time.perf_counter()
        called = judge(name, given.worlds)
        shares = [f"{100 * count / called.worlds:.1f} %" for count in (called.worse, called.better, called.plain)]
        print(
            f"{name:22}{shares[0]:>8}{shares[1]:>8}{shares[2]:>19}{time.perf_counter() - began:9.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
