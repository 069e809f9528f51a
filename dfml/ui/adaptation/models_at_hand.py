"""Which meta-models there are to adapt: those that ship, the reader's finished runs, and any folder of one."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import streamlit as st
from pydantic import Field

from dfml.core.config import Record, Text
from dfml.core.errors import BadInput
from dfml.core.paths import given_path, read_json
from dfml.runs.folder import RunFolder
from dfml.runs.recorded import ready_models
from dfml.ui.runs.run_rows import RunRow, minute, run_rows, unique
from dfml.ui.widgets.navigation import TRAINING
from dfml.ui.widgets.texts import empty_state, one_line_errors, plain

FIRST = "purer"
"""The ready model that is chosen before anybody chose."""
REFERENCES = ("best-teacher", "random")
"""Methods whose models every answer is compared with, where there is one of them."""
LEARNERS = {
    "maml": "MAML: a few gradient steps on all weights",
    "anil": "ANIL: a few gradient steps on the last layer only",
    "protonet": "ProtoNet: nearest class centroid of the features, no gradient steps",
}
SIDE = "Side information: anything real that the training used although the task is data-free, such as accuracies."


class _Card(Record):
    """``dfml.json`` of a meta-model."""

    kind: Text | None = None
    learner: Text
    method: Text | None = None
    zoo: Text | None = None
    side_information: list[Text] | None = None
    adapt_steps: Annotated[int, Field(ge=1, le=1000)] = 10
    teachers: dict[Text, Text] | None = None


class Model(NamedTuple):
    """A meta-model: as a link says it, as people call it, its folder, and its card."""

    name: str
    title: str
    folder: Path
    card: dict[str, Any]

    @property
    def ensemble(self) -> bool:
        """Whether it is all teachers at once, without weights of its own."""
        return self.card.get("kind") == "ensemble"

    @property
    def zoo(self) -> str:
        """The name of its zoo, empty where it is not known."""
        return Path(self.card.get("zoo") or "").name

    @property
    def changed(self) -> int:
        """When its folder was written, in nanoseconds since 1970; 0 where it has gone."""
        try:
            return (self.folder / "dfml.json").stat().st_mtime_ns
        except OSError:
            return 0


def finished_models() -> list[RunRow]:
    """Return training runs that ended with a model, the newest first."""
    return [row for row in run_rows("train") if row.run.model]


def listed_models() -> dict[str, str]:
    """Return a line for each model that is at hand, by its name in a link: those that ship, then the newest runs."""
    ready = {path.name: f"{path.name} · comes with the app" for path in _ready()}
    rows = {row.name: row for row in finished_models()}
    # Lines that stay as they are: a browser sends the one that it got, not the run's name.
    own = {r.name: f"{r.title} · seed {r.spec.seed} · {minute(r.created)}" for r in rows.values() if r.spec}
    return unique({**ready, **{name: line for name, line in own.items() if name not in ready}})


def _ready() -> list[Path]:
    return sorted(ready_models(), key=lambda path: (path.name != FIRST, path.name))


def open_model(name: str) -> Model:
    """Return the model of a name in a link, or of a path to a model or a run; needs no torch.

    Raises:
        BadInput: There is no model, or its folder holds no meta-model.
    """
    ready = next((path for path in _ready() if path.name == name), None)
    row = None if ready else next((row for row in finished_models() if row.name == name), None)
    path = ready or (row.run.path if row else given_path(name))
    folder = RunFolder(path).model or path
    if not os.path.isfile(folder / "dfml.json"):
        raise BadInput(f"no model at {name!r}: give the folder of a meta-model, such as RUN/model.")
    card = read_json(folder / "dfml.json", "the model's card")
    if not isinstance(card, dict) or "learner" not in card:
        raise BadInput(f"{folder} holds no meta-model; a teacher of a zoo, for example, is none. Train one first.")
    checked = _Card.checked(card, "the model's card")
    title = ready.name if ready else row.title if row else str(checked.get("method") or folder.name)
    return Model(name, title, folder, checked)


def reference_models(main: Model) -> list[Model]:
    """Return a model of each of ``REFERENCES``, but not the main one again: of its zoo where there is one.

    The title of one of another zoo says so.
    """
    found, zoo = [], main.zoo
    for method in REFERENCES:
        if main.card.get("method") == method:
            continue
        own = [row for row in finished_models() if row.spec and row.spec.method == method]
        ready = [path.name for path in _ready() if path.name == method]
        of_zoo = [name for name in ready if _ready_zoo(name) == zoo]
        of_zoo += [row.name for row in own if row.spec and Path(row.spec.zoo or "").name == zoo]
        for name in [*of_zoo, *ready, *(row.name for row in own)]:
            with suppress(BadInput):  # a damaged one is no comparison
                one = open_model(name)
                apart = zoo and one.zoo and one.zoo != zoo
                found.append(one._replace(title=f"{one.title} of {one.zoo}") if apart else one)
                break
    return found


def _ready_zoo(name: str) -> str:
    with suppress(BadInput):
        return open_model(name).zoo
    return ""


def choose_model() -> Model | None:
    """Draw the model chooser; return the chosen one, or None where there is none yet, or it cannot be used."""
    lines, key = listed_models(), "adapt_model"
    asked, kept = st.query_params.get("model"), st.session_state.get(key)
    options = list(dict.fromkeys([*lines, *filter(None, (asked, kept))]))
    if asked and asked != kept:
        st.session_state[key] = asked
    elif kept is None and options:
        st.session_state[key] = options[0]
    choice = st.selectbox(
        "Meta-model",
        options,
        index=None,
        format_func=lambda name: lines[name] if name in lines else str(name),
        key=key,
        accept_new_options=True,
        persist_state="session",
        placeholder="Choose a model, or type its folder",
        on_change=lambda: st.query_params.update(model=st.session_state[key] or ""),
        help="Those that come with the app, and your finished runs; or type the path of a model's folder.",
    )
    if not choice:
        return None
    if st.query_params.get("model") != choice:
        st.query_params["model"] = choice
    with one_line_errors():
        return open_model(choice)
    return None


def draw_no_model() -> None:
    """Draw what stands in place of an answer where there is no model at all."""
    if st.session_state.get("adapt_model"):
        return
    empty_state(
        "No meta-model yet",
        "Train one on the Meta-training page (the demo preset takes minutes, `random` takes seconds), "
        "or type a model's folder above.",
        icon=TRAINING.icon,
    )
    st.page_link(TRAINING.file, label="Go to Meta-training", icon=TRAINING.icon, help="")


def draw_card(model: Model) -> None:
    """Draw what a model's card says, in one line."""
    card = model.card
    trained = f"trained by **{plain(card.get('method') or 'unknown')}**"
    zoo = plain(model.zoo or "an unknown zoo")
    learner = LEARNERS.get(card["learner"], plain(card["learner"]))
    side = plain(", ".join(card.get("side_information") or []) or "none")
    st.caption(f"{trained} · on {zoo} · {learner} · side information used: {side}", help=SIDE)
