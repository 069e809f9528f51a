"""What the sidebar asks of the machine."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from dfml.runs.processes import start
from dfml.ui.widgets import sidebar


def test_pages_that_ask_at_the_same_time_hear_the_same_devices(monkeypatch):
    answer = """import json; print(json.dumps({"devices": ["cuda", "cpu"], "auto": "cuda"}))"""
    quick = lambda command, *more, **places: start([sys.executable, "-S", "-c", answer], *more, **places)  # noqa: E731
    monkeypatch.setattr(sidebar, "start", quick)
    for _ in range(20):
        question, together = sidebar.DeviceQuestion(), threading.Barrier(8)
        question._process.wait()

        def ask(question=question, together=together):
            together.wait()
            return question.answer()["auto"]

        with ThreadPoolExecutor(8) as pages:
            assert {page.result() for page in [pages.submit(ask) for _ in range(8)]} == {"cuda"}
