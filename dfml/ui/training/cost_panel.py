"""What a training will cost here, on its page: measured beside it, watched, stopped, and told with its settings."""

import threading
import time
from collections.abc import Mapping
from typing import Any

import streamlit as st

from dfml.core.errors import DfmlError
from dfml.runs.costs.cost import cost_of
from dfml.runs.processes import JobProcesses
from dfml.runs.spec import RunSpec
from dfml.ui.widgets.texts import duration, plain

COST = "_cost:train"
MOST_NAMED = 6


class Measuring:
    """A measurement, which a thread of the server waits for, and then its answer.

    A session keeps it, so it goes on while another page is looked at or the form is changed, and ends by itself.

    Attributes:
        settings: What is measured, in words.
        answer: Whether the training can be done and what it costs, or why not; None while it is measured.
    """

    def __init__(self, spec: RunSpec, changed: Mapping[str, Any]) -> None:
        self.settings, self.began = _in_words(spec, changed), time.monotonic()
        self.answer: tuple[bool, str] | None = None
        self._processes = JobProcesses()
        threading.Thread(target=self._ask, args=(spec,), name="cost of a training", daemon=True).start()

    def stop(self) -> None:
        """Let it end soon, and return at once; nothing is kept."""
        threading.Thread(target=self._processes.stop, name="stop measuring", daemon=True).start()

    def _ask(self, spec: RunSpec) -> None:
        try:
            self.answer = True, cost_of(spec, self._processes).text
        except DfmlError as error:
            self.answer = False, str(error)
        except Exception as error:
            self.answer = False, f"the cost could not be measured ({type(error).__name__}: {error})."


def ask_cost(spec: RunSpec, changed: Mapping[str, Any]) -> None:
    """Begin to measure, in place of what is measured; ``changed`` are the options that are not the preset's."""
    if COST in st.session_state:
        st.session_state[COST].stop()
    st.session_state[COST] = Measuring(spec, changed)


def cost_panel() -> None:
    """Draw what is measured, or was measured last, if anything; the timer runs only while something is measured."""
    measuring: Measuring | None = st.session_state.get(COST)
    if measuring is None:
        return
    waiting, drawn = measuring.answer is None, False

    def live() -> None:
        nonlocal drawn
        if waiting and drawn and measuring.answer is not None:
            # One full run leaves the timer out. Never within a full run, which would lose the click that it came from.
            st.rerun()
        drawn = True
        _draw(measuring)

    st.fragment(live, run_every=1 if waiting else None)()


def _draw(measuring: Measuring) -> None:
    about = f"For {plain(measuring.settings)}."
    if measuring.answer is None:
        with st.container(horizontal=True, vertical_alignment="center"):
            spent = duration(time.monotonic() - measuring.began)
            st.markdown(f":material/timer: Measuring a few iterations, {spent} so far …", width="content")
            if st.button("Stop measuring", icon=":material/stop_circle:", key="cost:stop"):
                measuring.stop()
                st.session_state.pop(COST, None)
                st.rerun()
        st.caption(f"{about} You may go on with the form, or look at another page, meanwhile.")
        return
    fits, told = measuring.answer
    (st.info if fits else st.error)(plain(told), icon=":material/timer:")
    st.caption(about)


def _in_words(spec: RunSpec, changed: Mapping[str, Any]) -> str:
    """The settings that decide what a training costs, without the name of the run."""
    named = [f"{name}={value}" for name, value in list(changed.items())[:MOST_NAMED]]
    more = [f"{len(changed) - MOST_NAMED} more options changed"] if len(changed) > MOST_NAMED else []
    data = [f"images from {spec.data}"] if spec.data else []
    own = spec.model_copy(update={"label": ""})
    return ", ".join([own.title, f"{spec.preset} preset", *named, *more, *data, f"device {spec.device}"])
