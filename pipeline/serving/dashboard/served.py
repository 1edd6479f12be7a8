"""What Streamlit serves: the pages of `app`, and beside them `/health`.

Streamlit's own `/_stcore/health` says only that Streamlit runs. Ours is what the pages need: that the database can be
read, by the query that each page begins with.
"""

from __future__ import annotations

from pathlib import Path

from starlette.routing import Route
from streamlit import App

from pipeline.serving.dashboard import run_query
from pipeline.serving.health import PATH, Health
from pipeline.settings import Settings

health = Health(Settings.load().warehouse, lambda: run_query(Settings.load().warehouse, "span"))

app = App(Path(__file__).with_name("app.py"), routes=[Route(PATH, health.answer)])
