"""Work on models that a thread of the server waits for while a process of its own does it: see ``dfml.runs.zoo_work``.

A session keeps it, so that the page goes on, another one may be looked at, and other sessions notice nothing.
"""

import json
import threading
from collections.abc import Callable
from typing import Any

import streamlit as st

from dfml.core.errors import DfmlError
from dfml.runs import zoo_work
from dfml.runs.processes import JobProcesses
from dfml.ui.widgets.texts import plain

ADDING = threading.Lock()
"""Whoever adds to a zoo reads its list first and writes it last."""


class ZooErrand:
    """An order that is worked on, and then its outcome.

    Attributes:
        order: What is done; see ``zoo_work.WORKS``.
        outcome: What came of it, ``{"problem": ...}`` where it could not be done; None while it is worked on.
    """

    def __init__(self, *, holding: object = None, **order: Any) -> None:  # noqa: ANN401 - any JSON value
        self._holding = holding  # what must not go before the work ends, though the session may
        self.order: dict[str, Any] = order
        self.outcome: Any = None
        self._processes = JobProcesses()
        threading.Thread(target=self._wait, name=f"zoo {order['work']}", daemon=True).start()

    @property
    def told(self) -> str:
        """How far it is, in words."""
        return next((child.text for child in self._processes.running), "")

    def stop(self) -> None:
        """Let it end soon, and return at once; nothing half-done stays."""
        threading.Thread(target=self._processes.stop, name="stop zoo work", daemon=True).start()

    def _wait(self) -> None:
        try:
            if self.order["work"] == "add":
                with ADDING:
                    self.outcome = self._do()
            else:
                self.outcome = self._do()
        except DfmlError as error:
            self.outcome = {"problem": str(error)}
        except Exception as error:
            self.outcome = {"problem": f"this could not be done ({type(error).__name__}: {error})."}

    def _do(self) -> Any:  # noqa: ANN401 - any JSON value
        return self._processes.do(self.order["work"], zoo_work.COMMAND, json.dumps(self.order))


def wait_for(errand: ZooErrand, words: str, *, key: str, forget: Callable[[], object]) -> bool:
    """Draw how far an errand is, with a button that stops it; return whether it has ended.

    The page is drawn anew when it ends. ``forget`` is called where it is stopped.
    """
    if errand.outcome is not None:
        return True
    drawn = False

    def live() -> None:
        nonlocal drawn
        if drawn and errand.outcome is not None:
            # One full run leaves the timer out. Never within a full run, which would lose the click that it came from.
            st.rerun()
        drawn = True
        with st.container(horizontal=True, vertical_alignment="center"):
            told = f": {plain(errand.told)}" if errand.told else ""
            st.markdown(f":material/hourglass_top: {words}{told} …", width="content")
            if st.button("Stop", icon=":material/stop_circle:", key=f"{key}:stop"):
                errand.stop()
                forget()
                st.rerun()

    st.fragment(live, run_every=1)()
    return False
