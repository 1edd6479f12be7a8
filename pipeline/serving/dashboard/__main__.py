"""`python -m pipeline.serving.dashboard [PORT]` starts the dashboard, as `launch` does."""

from __future__ import annotations

import sys

from pipeline.serving.dashboard.launch import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
