"""What every run shows: its state, progress, time left, and stop, resume and delete."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import streamlit as st

from dfml.core.errors import BadInput
from dfml.core.paths import runs_root
from dfml.core.time_left import in_words
from dfml.runs import launcher
from dfml.runs.folder import RunFolder
from dfml.runs.spec import RunSpec
from dfml.runs.status import ACTIVE, RESUMABLE, RunStatus
from dfml.ui.runs.run_rows import RunRow
from dfml.ui.widgets.forms import inverters, methods
from dfml.ui.widgets.metrics import chip
from dfml.ui.widgets.texts import counted, duration, one_line_errors, plain


def look_again(*rows: RunRow) -> int | None:
    """Return the seconds until the view of these runs looks again: another tab may resume one that has stopped."""
    if any(row.active for row in rows):
        return 1
    return 5 if any(row.state in RESUMABLE for row in rows) else None


def moved_on(was: str, now: str) -> bool:
    """Whether a run's state changed so that the page around its view has to be drawn anew."""
    return was != now and not (was in ACTIVE and now in ACTIVE)


def run_panel(
    run: RunFolder, status: RunStatus, key: str, title: str | None = None, others: Mapping[str, str] | None = None
) -> None:
    """Draw title, chip, progress, facts, buttons, and the details that make the run reproducible.

    Where runs stand side by side, ``title`` takes the place of the run's own, with fewer facts, ``others`` are what the
    runs beside it are called, by their folders' names, and deleting is found among the details, so that the buttons
    fit. ``key`` is the prefix of the widgets' keys.
    """
    look = chip(status.state)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"#### {plain(title or run.spec.title)}", width="content", anchors=False)
        st.badge(look.word, icon=look.icon, color=look.colour)
    if status.error:
        show = st.error if status.state in ("failed", "crashed") else st.warning
        show(f"{look.word.capitalize()}: {plain(status.error)}", icon=look.icon)
    if status.state != "finished":
        st.progress(status.fraction, text=progress_text(status, others))
    told = [f"{duration(status.seconds)} of work"] if status.seconds else []
    if status.device:
        why = f" ({status.device_reason})" if status.device_reason and not title else ""
        told.append("on " + plain(status.device + why))
    if not title:
        threads = [counted(run.spec.threads, "CPU thread")] if run.spec.threads else []
        told += [preset_of(run.spec), f"seed {run.spec.seed}", *threads]
    st.caption(" · ".join(told) or "not begun yet")
    with st.container(horizontal=True, gap="small"):
        stop, resume = ":material/stop_circle:", ":material/play_arrow:"
        if status.active:
            if st.button("Stop run", icon=stop, key=f"{key}:stop", disabled=status.state == "stopping"):
                with one_line_errors():
                    launcher.stop(run.path)
                    st.rerun()
        elif status.resumable:
            text = "Go on from the last checkpoint."
            if st.button("Resume", icon=resume, key=f"{key}:resume", type="primary", help=text):
                with one_line_errors():
                    launcher.resume(run.path)
                    st.rerun()
        with st.popover("Details", icon=":material/list_alt:", key=f"{key}:details"):
            st.markdown(f"**Folder** {plain(str(run.path))}")
            st.markdown("**Order** (spec.json)")
            st.json(run.spec.model_dump(), expanded=1)
            st.markdown("**End of the log**")
            st.code(run.log_tail(40) or "empty", language=None, height=200)
            if title and not status.active:
                _delete(run, key)
        if not title and not status.active:
            with st.popover("Delete", icon=":material/delete:", key=f"{key}:delete"):
                _delete(run, key)


def progress_text(status: RunStatus, others: Mapping[str, str] | None = None) -> str:
    """Say what it is doing, how far it is, and the time left; ``others`` as of ``run_panel``."""
    if status.state == "queued":
        return _waiting(status.text, others or {}) or "waiting for the device: one run works on a device at a time"
    parts = [plain(status.text)] if status.text else []
    if status.total:
        parts.append(f"step {status.step} of {status.total}")
    if status.state == "running":
        parts.append(f"{in_words(status.eta_range)} left" if status.eta_range else "estimating time left")
    return " · ".join(parts) or "starting"


def _waiting(text: str, others: Mapping[str, str]) -> str:
    """What a queued run says, with the title of the run that it waits for; see ``DeviceQueue.try_take``."""
    told = re.fullmatch(r"waiting for (\S+) \(run (.+?)(, \d+ more before this one)?\)", text)
    if told is None:
        return plain(text)
    device, name, ahead = told.groups()
    found = RunFolder(runs_root() / name) if name == Path(name).name else None
    if name in others or (found is not None and not found.problem):
        who = others.get(name) or found.spec.title
    else:  # a command, or a run of another folder
        who = f"{name}, outside this app,"
    return f"waiting for {device}: {plain(who)} works on it{ahead or ''}"


def preset_of(spec: RunSpec) -> str:
    """Say which preset the run's options are, and how many were changed.

    Presets come with their methods, which need torch: a page that only watches does not load it, and says less.
    """
    if "torch" not in sys.modules or not spec.method:
        return f"from the {plain(spec.preset)} preset"
    changed = _changed(spec.kind, spec.method, spec.preset, json.dumps(spec.config))
    if changed is None:
        return f"{plain(spec.preset)} preset of another version"
    return f"{plain(spec.preset)} preset" + (f", {counted(changed, 'option')} changed" if changed else "")


@lru_cache(maxsize=256)
def _changed(kind: str, method: str, preset: str, config: str) -> int | None:
    """How many of a run's options its preset has otherwise; None where it has none such."""
    registry = methods() if kind == "train" else inverters()
    try:
        wanted = registry.get(method).preset(preset)
        had = type(wanted).parse(json.loads(config))  # what the run fills in where its order has gaps
    except BadInput:
        return None
    return sum(getattr(wanted, name) != getattr(had, name) for name in type(wanted).model_fields)


def _delete(run: RunFolder, key: str) -> None:
    st.markdown("Delete this run with its model, images and curves?")
    if st.button("Delete for good", icon=":material/delete_forever:", key=f"{key}:delete_yes", type="primary"):
        with one_line_errors():
            launcher.delete(run.path)
            if not run.spec.group:
                st.query_params.pop("run", None)
            st.rerun()
