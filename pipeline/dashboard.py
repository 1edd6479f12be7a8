"""`python -m pipeline.dashboard [PORT]` is `call-metrics dashboard`."""

from __future__ import annotations

import sys

from pipeline.serving.dashboard.__main__ import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
