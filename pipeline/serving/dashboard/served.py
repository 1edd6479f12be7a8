"""What Streamlit serves: the pages of `app`, and beside them `/health`.

Streamlit's own `/_stcore/health` says only that Streamlit runs. Ours says whether the database can be read, by the
query that each page begins with. Our log lines have the format of CALL_METRICS_LOG_FORMAT; Streamlit's are text.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from starlette.routing import Route
from streamlit import App

from pipeline.logs import to_stderr
from pipeline.serving.dashboard import run_query
from pipeline.serving.health import PATH, Health
from pipeline.settings import Settings

settings = Settings.load()

logs = contextlib.ExitStack()  # as long as the process lives
logs.enter_context(to_stderr(settings.log_format, logging.INFO))

health = Health(settings.warehouse, lambda: run_query(Settings.load().warehouse, "span"))

app = App(Path(__file__).with_name("app.py"), routes=[Route(PATH, health.answer)])
