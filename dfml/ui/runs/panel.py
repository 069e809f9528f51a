"""The view of runs on every page: empty, or state, progress and buttons of each, and what the page draws below."""

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from dfml.core.errors import BadInput
from dfml.core.paths import runs_root
from dfml.core.time_left import in_words
from dfml.runs import launcher
from dfml.runs.folder import RunFolder
from dfml.runs.lab.citing import bibtex_of
from dfml.runs.recorded import is_recorded
from dfml.runs.spec import RunSpec
from dfml.runs.status import ACTIVE, RESUMABLE, RunStatus
from dfml.ui.runs.run_rows import NEXT, RunRow, choose_run, recorded_rows, run_rows, whose
from dfml.ui.widgets.forms import inverters, methods
from dfml.ui.widgets.metrics import chip
from dfml.ui.widgets.scenes import names_settings
from dfml.ui.widgets.texts import counted, duration, empty_state, one_line_errors, plain

KINDS = {"training": "train", "inversion": "invert", "building": "pretrain"}
"""What kind of run is watched under a prefix of widgets' keys."""


def look_again(*rows: RunRow) -> int | None:
    """Return the seconds until the view of these runs looks again: another tab may resume one that has stopped."""
    states = {row.state for row in rows}
    return 1 if states.intersection(ACTIVE) else 5 if states.intersection(RESUMABLE) else None


def moved_on(was: str, now: str) -> bool:
    """Whether a run's state changed so that the page around its view has to be drawn anew."""
    return was != now and not (was in ACTIVE and now in ACTIVE)


def page_of_runs(
    key: str,
    new: str,
    form: Callable[[], None],
    kinds: Sequence[str],
    tabs: Mapping[str, Callable[[list[RunRow]], None]],
) -> None:
    """Draw the box of the form that starts runs, and the tabs, each with the page's runs.

    The box is open at first, folded where the link names a run and no settings. It stands below the tabs where there
    is a run to watch, own or recorded, and above them where the link names settings, but no run that is at work, or its
    button was pressed. The form is drawn after the tabs, so that runs can be watched while it waits for PyTorch, and
    only in an open box, so that watching needs none.
    """
    box_key, first, below = f"new_run_open:{key}", f"_first:{key}", f"_form_below:{key}"
    rows = run_rows(*kinds)
    if first not in st.session_state:
        asked = names_settings() and not _at_work(rows, st.query_params.get("run"))
        st.session_state[first] = asked or "run" not in st.query_params
        st.session_state[below] = not asked and bool(rows or recorded_rows(KINDS[key]))
    if NEXT in st.session_state:
        st.session_state[box_key], st.session_state[below] = False, True

    def bring_up() -> None:
        st.session_state[box_key], st.session_state[below] = True, False

    look: dict[str, Any] = {"icon": ":material/add_circle:"}
    view = st.container() if st.session_state[below] else None
    box = st.expander(f"**{new}**", expanded=st.session_state[first], key=box_key, on_change="rerun", **look)
    with view or st.container():
        if view:
            st.button(new, key=f"{key}:new", on_click=bring_up, **look)
        for tab, draw in zip(_places(list(tabs)), tabs.values(), strict=True):
            with tab:
                draw(rows)
    if box.open:
        with box:
            form()


def _at_work(rows: Sequence[RunRow], asked: str | None) -> bool:
    """Whether the run, or the group of runs, that the link names works or waits: whoever reloads wants to see it."""
    return any(row.state in ACTIVE and row.spec and asked in (row.name, row.spec.group or None) for row in rows)


def _places(names: list[str]) -> Sequence[Any]:
    """Return a tab for each view of the page; one alone needs none."""
    return st.tabs(names, key="view", bind="query-params") if len(names) > 1 else [st.container()]


class Watched(NamedTuple):
    """A run at this moment, and its name among those that it is compared with."""

    name: str
    run: RunFolder
    status: RunStatus


def watch_runs(rows: list[RunRow], key: str, draw: Callable[[list[Watched], str], None], **empty: str) -> None:
    """Draw a chooser, the panels of the chosen runs that stand side by side, and what ``draw`` makes of them.

    All but the chooser is drawn anew each second until all have ended. ``key`` is the prefix of the widgets' keys, and
    ``draw`` is also given the runs' common name; ``empty`` are arguments of ``empty_state``, for a page without runs.
    """
    shown = choose_run([*rows, *recorded_rows(KINDS[key])], key=f"{key}_run")
    if shown is None:
        empty_state(**empty)
        return
    for row in shown.rows:
        if row.spec is None:
            st.warning(plain(row.message), icon=":material/broken_image:")
    known = [(row, name) for row, name in zip(shown.rows, shown.names, strict=True) if row.spec]
    if not known:
        return

    @st.fragment(run_every=look_again(*(row for row, _ in known)))
    def live() -> None:
        with one_line_errors():
            watched = [Watched(name, row.run, row.run.status()) for row, name in known]
            if any(moved_on(row.state, one.status.state) for (row, _), one in zip(known, watched, strict=True)):
                # One ended, or another tab resumed it: one full run of the page sets the timer anew. Before anything
                # is drawn, since a click on a link that is redrawn at once would be lost.
                st.rerun()
            _panels(watched, key)
            draw(watched, shown.name)

    live()


def _panels(watched: list[Watched], key: str) -> None:
    """What is common to all runs, if there are several, then each one's state and controls."""
    if len(watched) == 1:
        _panel(watched[0], key, {})
        return
    spec, active = watched[0].run.spec, [one for one in watched if one.status.active]
    st.markdown(f"## {plain(whose(spec)).capitalize()}", anchors=False)
    told = [f"{len(watched)} inverters", f"{spec.per_class} images per class", f"seed {spec.seed}"]
    told += [plain(f"{spec.preset} preset"), *([f"real images from {plain(spec.data)}"] if spec.data else [])]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if is_recorded(watched[0].run.path):
            recorded_badge(watched[0].run)
        st.caption(" · ".join(told), width="content")
        if len(active) > 1 and st.button("Stop all", icon=":material/stop_circle:", key=f"{key}:stop_all"):
            for one in active:
                with one_line_errors():
                    launcher.request_stop(one.run)
            st.rerun()
    names, columns = {one.run.name: one.name for one in watched}, st.columns(len(watched), gap="medium")
    for place, one in enumerate(watched):
        with columns[place], one_line_errors():
            _panel(one, f"{key}:{place}", names)


def _panel(one: Watched, key: str, names: Mapping[str, str]) -> None:
    """Draw title, state, progress, facts, buttons, and the details that make the run reproducible.

    ``names`` are those of runs side by side, by their folders' names, else empty. Side by side there are fewer facts,
    and deleting is found among the details, so that the buttons fit.
    """
    name, run, status = one
    look, shipped = chip(status.state), is_recorded(run.path)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"## {plain(name if names else run.title)}", width="content", anchors=False)
        if not shipped:
            st.badge(look.word, icon=look.icon, color=look.colour)
        elif not names:
            recorded_badge(run)
    if status.error:
        show = st.error if status.state in ("failed", "crashed") else st.warning
        show(f"{look.word.capitalize()}: {plain(status.error)}", icon=look.icon)
    if status.state != "finished":
        st.progress(status.fraction, text=progress_text(status, names))
    # How long a demo takes is what the table says where all were timed, not what a recording took on a busy machine.
    told = [f"{duration(status.seconds)} of work"] if status.seconds and not shipped else []
    if status.device:
        why = f" ({status.device_reason})" if status.device_reason and not names else ""
        told.append("on " + plain(status.device + why))
    if not names:
        threads = counted(run.spec.threads, "CPU thread") if run.spec.threads else ""
        cluster = f"by the cluster at {plain(run.spec.cluster)}" if run.spec.cluster else ""
        told += filter(None, [preset_of(run.spec), f"seed {run.spec.seed}", threads, cluster])
    st.caption(" · ".join(told) or "not begun yet")
    with st.container(horizontal=True, gap="small"):
        if status.active:
            more = {"icon": ":material/stop_circle:", "disabled": status.state == "stopping"}
            _button("Stop run", launcher.stop, run, key=f"{key}:stop", **more)
        elif status.resumable:
            more = {"icon": ":material/play_arrow:", "type": "primary", "help": "Go on from the last checkpoint."}
            _button("Resume", launcher.resume, run, key=f"{key}:resume", **more)
        details = st.popover("Details", icon=":material/list_alt:", key=f"{key}:details", on_change="rerun")
        if details.open:  # only then: it would be sent each second, to everybody
            with details:
                _details(one, key, names)
        if not names:
            cited = st.popover("Cite", icon=":material/format_quote:", key=f"{key}:cite", on_change="rerun")
            if cited.open:  # only then, for what a training used is known to a registry that needs PyTorch
                with cited:
                    methods()
                    st.markdown("What this run used, as BibTeX")
                    st.code(bibtex_of(run), language="bibtex", height=300)
        if not names and not status.active and not shipped:
            with st.popover("Delete", icon=":material/delete:", key=f"{key}:delete"):
                _delete(run, key)


def _details(one: Watched, key: str, names: Mapping[str, str]) -> None:
    _, run, status = one
    st.markdown(f"**Folder** {plain(str(run.path))}")
    st.markdown("**Settings** (spec.json)")
    st.json(run.spec.model_dump(), expanded=1)
    st.markdown("**End of the log**")
    st.code(run.log_tail(40) or "empty", language=None, height=200)
    if names and not status.active and not is_recorded(run.path):
        _delete(run, key)


def recorded_badge(run: RunFolder) -> None:
    """Say that a run ships with the program, when it was made and on what."""
    day = f"{datetime.fromtimestamp(run.created, UTC):%d %b %Y}".lstrip("0")
    on = (run.status().device or "cpu").upper()
    cores = counted(run.spec.threads or 1, "CPU core") if on == "CPU" else on
    st.badge(f"recorded on {day}, {cores}", icon=":material/history:", color="violet")


def _button(label: str, act: Callable[[Path], Any], run: RunFolder, **look: Any) -> None:  # noqa: ANN401 - as st.button's
    if st.button(label, **look):
        with one_line_errors():
            act(run.path)
            st.rerun()


def progress_text(status: RunStatus, names: Mapping[str, str] | None = None) -> str:
    """Say what it is doing, how far it is, and the time left; ``names`` as of ``_panel``."""
    if status.state == "queued":
        return _waiting(status.text or "", names or {}) or "waiting for the device: one run works on a device at a time"
    parts = [plain(status.text)] if status.text else []
    if status.total:
        parts.append(f"step {status.step} of {status.total}")
    if status.state == "running":
        parts.append(f"{in_words(status.eta_range)} left" if status.eta_range else "estimating time left")
    return " · ".join(parts) or "starting"


def _waiting(text: str, names: Mapping[str, str]) -> str:
    """What a queued run says, with the title of the run that it waits for; see ``take_turns``."""
    told = re.fullmatch(r"waiting for (\S+) \(run (.+)\)", text)
    if told is None:
        return plain(text)
    device, name = told.groups()
    found = RunFolder(runs_root() / name) if name == Path(name).name else None
    who = names.get(name) or (found.title if found and not found.problem else "")
    who = who or f"{name}, outside this app,"  # a command, or a run of another folder
    return f"waiting for {device}: {plain(who)} works on it{_starts(found)}"


def _starts(before: RunFolder | None) -> str:
    """When a run that waits can start: not before the one that works has ended, with its test."""
    if before is None or before.problem or (status := before.status()).state not in ("running", "stopping"):
        return ""
    when = f"in {in_words(status.eta_range)} at the earliest" if status.eta_range else "when that one has ended"
    return f"; this one starts {when}"


def preset_of(spec: RunSpec) -> str:
    """Say which preset the run's options are and, where torch is loaded already, how many were changed."""
    if spec.kind == "pretrain":
        return plain(spec.method)
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
        had = type(wanted).parse(json.loads(config))  # what the run fills in where its spec has gaps
    except BadInput:
        return None
    return sum(getattr(wanted, name) != getattr(had, name) for name in type(wanted).model_fields)


def _delete(run: RunFolder, key: str) -> None:
    st.markdown("Delete this run with its model, images and curves?")
    with st.container(key=f"danger-{key}"):  # what cannot be undone is red: see frame.css
        pressed = st.button("Delete for good", icon=":material/delete_forever:", key=f"{key}:delete_yes")
    if pressed:
        with one_line_errors():
            launcher.delete(run.path)
            if not run.spec.group:
                st.query_params.pop("run", None)
            st.rerun()
