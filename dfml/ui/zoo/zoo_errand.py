"""Work on models that a thread of the server waits for while a process of its own does it: see ``dfml.runs.zoo_work``.

The page goes on meanwhile, another one may be looked at, and other sessions notice nothing. What only one reader would
see ends with their session; a check is of the zoo, so whoever looks at the zoo finds it.
"""

import json
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from dfml.core.errors import DfmlError
from dfml.runs import zoo_work
from dfml.runs.processes import JobProcesses
from dfml.ui.widgets.texts import plain

ADDING = threading.Lock()
"""Whoever adds to a zoo reads its list first and writes it last."""
BEFORE = "loading PyTorch"
"""What a process does that has not said anything yet."""


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

    def progress(self) -> tuple[float, str]:
        """Share done, in [0, 1], and what it is doing."""
        return told_progress(self._processes, BEFORE)

    def stop(self) -> None:
        """Let it end soon, and return at once; nothing half-done stays."""
        _stop(self._processes)

    def ends_with(self, owner: object) -> "ZooErrand":
        """Stop it where its owner, who alone would see what comes of it, is gone; return itself."""
        weakref.finalize(owner, _stop, self._processes).atexit = False  # with the server they end by themselves
        return self

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


def _stop(processes: JobProcesses) -> None:
    threading.Thread(target=processes.stop, name="stop zoo work", daemon=True).start()


def told_progress(processes: JobProcesses, before: str) -> tuple[float, str]:
    """Share done, in [0, 1], and words, of the process of these that says ``DONE TOTAL WORDS``; at first ``before``."""
    running = list(processes.running)
    words = (running[0].text if running else "").split(" ", 2)
    if len(words) < 3 or not (words[0].isdecimal() and words[1].isdecimal()) or words[1] == "0":
        return 0.0, before
    done, total = int(words[0]), int(words[1])
    return min(1.0, done / total), f"{words[2]}, {done} of {total} done"


@st.cache_resource(show_spinner=False)
def checks() -> dict[Path, ZooErrand]:
    """Return the checks of this server that go on or have failed, by their zoos' folders."""
    return {}


def check_of(folder: Path) -> ZooErrand | None:
    """Return the check of a zoo that goes on or has failed; what one found is in its file."""
    errand = checks().get(folder)
    if errand and errand.outcome is not None and "problem" not in errand.outcome:
        checks().pop(folder, None)
        return None
    return errand


def wait_for(errand: ZooErrand, words: str, *, key: str, forget: Callable[[], object]) -> bool:
    """Draw how far an errand is, with a button that stops it; return whether it has ended.

    The page is drawn anew when it ends. ``forget`` is called where it is stopped.
    """
    if errand.outcome is not None:
        return True
    draw_waiting(errand, words, key=key, forget=forget)
    return False


def draw_waiting(errand: ZooErrand, words: str, *, key: str, forget: Callable[[], object]) -> None:
    """``wait_for``, for those who have seen already that it goes on; it may have ended since."""
    drawn = False

    def live() -> None:
        nonlocal drawn
        if drawn and errand.outcome is not None:
            # One full run leaves the timer out. Never within a full run, which would lose the click that it came from.
            st.rerun()
        drawn = True
        share, told = errand.progress()
        st.progress(share, text=f"{words}: {plain(told)} …")
        if st.button("Stop", icon=":material/stop_circle:", key=f"{key}:stop"):
            errand.stop()
            forget()
            st.rerun()

    st.fragment(live, run_every=1)()
