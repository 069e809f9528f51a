"""The panel that brings trained classifiers into a zoo: from an upload, a path, or a name on a hub.

The program looks at what is given, says what it found, asks for what nobody says, and adds it: each in a process of its
own. TorchScript, which runs code when it is opened, comes in on the command line alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from dfml.core.errors import BadInput
from dfml.core.texts import is_address
from dfml.ui.widgets.link_choice import in_link
from dfml.ui.widgets.metrics import megabytes
from dfml.ui.widgets.texts import counted, one_line_errors, plain
from dfml.ui.widgets.uploaders import Given, uploader
from dfml.ui.zoo.choose_zoo import choose_next
from dfml.ui.zoo.model_files import KINDS, MEGABYTES, MOST_FILES, ModelFiles
from dfml.ui.zoo.target_zoo import choose_target
from dfml.ui.zoo.unknown_fields import LABELS, needed, optional, stated_of
from dfml.ui.zoo.zoo_errand import ZooErrand, wait_for

BRINGING = "_bringing"
WAYS = {"upload": "files to upload", "path": "a path on this computer", "name": "a name on a hub"}
HINTS = {
    "path": "a file of weights, or a model folder in timm's layout; several: one a line",
    "name": "hf-hub:OWNER/NAME or torchvision:NAME/WEIGHTS; several: one a line",
}


@dataclass
class Bringing:
    """What one session is about to add.

    Attributes:
        files: What was uploaded.
        sources: What was looked at; ``stated`` was known of each before, ``looks`` was found of it, see ``Look``.
        errand: What is being done.
        lines: Why something was not taken.
        added: What came of the last addition, see ``Imported``.
        count: How often something new was given: fields of what was before are forgotten.
    """

    files: ModelFiles | None = None
    sources: list[str] = field(default_factory=list)
    stated: list[dict[str, Any]] = field(default_factory=list)
    looks: list[dict[str, Any]] = field(default_factory=list)
    errand: ZooErrand | None = None
    lines: list[str] = field(default_factory=list)
    added: dict[str, Any] = field(default_factory=dict)
    count: int = 0
    seen: set[str] = field(default_factory=set)

    @property
    def key(self) -> str:
        """The prefix of the fields' keys."""
        return f"add:{self.count}"

    def look(self, sources: list[str], stated: list[dict[str, Any]] | None = None) -> None:
        """Begin to look at sources, of which something may be stated already."""
        if stated is None:
            self.count += 1
        self.stated = stated or [{} for _ in sources]
        if self.errand:
            self.errand.stop()
        self.sources, self.looks, self.lines, self.added, self.errand = sources, [], [], {}, None
        if sources:
            pairs = [list(pair) for pair in zip(sources, self.stated, strict=True)]
            self.errand = ZooErrand(holding=self.files, work="look", sources=pairs).ends_with(self)

    def take(self, given: Sequence[Given]) -> None:
        """Take uploads, and look at them."""
        if all(one.file_id in self.seen for one in given):
            return
        files = self.files or ModelFiles()
        lines = files.take(given, self.seen)
        self.files = files
        self.look(files.sources())
        self.lines = [*lines, *([files.unused] if files.unused else [])]

    def remove(self, name: str) -> None:
        """Remove an uploaded file, and look at the others."""
        if self.files:
            self.files.remove(name)
            self.look(self.files.sources())

    def collect(self) -> str:
        """Take up what an errand has brought; return the zoo to be shown, or an empty text."""
        done, self.errand = self.errand, None
        outcome = done.outcome if done else None
        if done is None or outcome is None:
            self.errand = done
        elif "problem" in outcome:
            self.lines = [self.shown(outcome["problem"])]
        elif done.order["work"] == "look":
            self.looks = outcome
        else:
            return self._end_adding(outcome, done.order["out"])
        return ""

    def _end_adding(self, outcome: dict[str, Any], out: str) -> str:
        self.lines = [self.shown(line) for line in outcome["problems"]]
        left = [place for place, source in enumerate(self.sources) if source in outcome["left_out"]]
        for place in left:
            self.looks[place]["asked"] |= outcome["left_out"][self.sources[place]]
        for name in ("sources", "stated", "looks"):
            setattr(self, name, [getattr(self, name)[place] for place in left])
        if not outcome["added"]:
            return ""
        self.added = {**outcome, "out": out, "notes": [self.shown(line) for line in outcome["notes"]]}
        if not left:
            self.files, self.count = None, self.count + 1
        return out

    def shown(self, line: str) -> str:
        """A line without the folder that uploads lie in."""
        return line.replace(f"{self.files.folder}/", "") if self.files else line


def add_teachers(shown: str) -> None:
    """Draw the panel; ``shown`` is the zoo that the page shows."""
    me: Bringing = st.session_state.setdefault(BRINGING, Bringing())
    if zoo := me.collect():
        choose_next(zoo)
    look: dict[str, Any] = {"key": "add", "icon": ":material/add_circle:", "on_change": "rerun", "bind": "query-params"}
    with st.expander("Add teachers", **look) as box:
        if box.open:
            _panel(me, shown)
    if me.added:
        new, zoo = me.added["added"], plain(Path(me.added["out"]).name)
        told = f"{counted(len(new), 'teacher')} added to {zoo}: {plain(', '.join(new))}"
        st.success("\n- ".join([told, *map(plain, me.added["notes"])]), icon=":material/check_circle:")
    if not box.open:
        _problems(me)


def _panel(me: Bringing, shown: str) -> None:
    st.caption(
        f"Any trained image classifier: {', '.join(KINDS[:6])}, or a folder in timm's layout. Nothing in it is run. "
        "TorchScript comes in on the command line alone."
    )
    words, all_words = WAYS.__getitem__, list(WAYS)
    way = in_link(st.segmented_control, "From", all_words, key="from", format_func=words)
    if way == "upload":
        _uploads(me)
    else:
        _typed(me, way)
    if me.errand:
        adding = "Adding" if me.errand.order["work"] == "add" else "Looking"
        # It ended since the top of the page, so the next run takes up what it brought.
        if wait_for(me.errand, adding, key="add", forget=lambda: setattr(me, "errand", None)):
            st.rerun()
    elif me.looks:
        _found(me)
        with one_line_errors():
            _form(me, shown)
    _problems(me)


def _uploads(me: Bringing) -> None:
    text = "Weights, and if you have them config.json and a list of class names"
    # A fresh one each time, so that the browser's list holds nothing that the server has dropped.
    look: dict[str, Any] = {"key": f"add_files:{len(me.seen)}", "accept_multiple_files": True}
    uploader(text, me.take, megabytes=MEGABYTES, **look)
    for path in me.files.paths() if me.files else ():
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f":material/draft: {plain(path.name)}, {megabytes(path.stat().st_size)}", width="content")
            remove: dict[str, Any] = {"type": "tertiary", "icon": ":material/close:", "key": f"add_less:{path.name}"}
            st.button("Remove", on_click=me.remove, args=(path.name,), help=f"Remove {plain(path.name)}", **remove)


def _typed(me: Bringing, way: str) -> None:
    text = st.text_area(WAYS[way].capitalize(), key=f"add_{way}", placeholder=HINTS[way], height=70)
    if st.button("Look at it", icon=":material/search:", key=f"add_look:{way}"):
        lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
        me.files = None
        me.look([])
        if not lines:
            me.lines = [f"Give {WAYS[way]}."]
        elif len(lines) > MOST_FILES:
            me.lines = [f"{len(lines)} lines: at most {MOST_FILES} at once; zoo import takes any number."]
        elif way == "path" and any(is_address(line) for line in lines):
            me.lines = ["That is an address: give a path on this computer."]
        else:
            me.look(lines)
            st.rerun()


def _found(me: Bringing) -> None:
    """Say what was found of each source, a line each."""
    for source, stated, look in zip(me.sources, me.stated, me.looks, strict=True):
        name = _short(source)
        if look["problem"]:
            st.error(plain(me.shown(look["problem"])), icon=":material/error:")
            continue
        facts = []
        if look["network"]:
            how = "recognised by its tensors" if look["derived"] else "as it says"
            how = "only asked" if look["network"] == "onnx" else how
            facts.append(f"{plain(look['network'])}, {how}")
        elif (near := look["asked"].get("arch")) is not None:
            facts.append("no network fits it exactly" + _nearest(near))
        if look["classes"]:
            facts.append(f"{look['classes']} classes" + ", named" * look["names"])
        says = look["says"]
        facts += ["input " + " × ".join(map(str, says["input_size"]))] if "input_size" in says else []
        for who, words in (("it states", {*says} - {*stated}), ("you state", stated)):
            if told := [LABELS[word].lower() for word in LABELS if word in words]:
                facts.append(f"{who} its {', '.join(told)}")
        st.markdown(f":material/deployed_code: **{plain(name)}**: {'; '.join(facts) or 'not known yet'}")


def _nearest(near: dict[str, str]) -> str:
    told = [f"{plain(name)} ({plain(word)})" for name, word in list(near.items())[:3]]
    return f"; the nearest: {', '.join(told)}" if told else ""


def _short(source: str) -> str:
    return source if ":" in source[2:] else Path(source).name


def _form(me: Bringing, shown: str) -> None:
    usable = [place for place, look in enumerate(me.looks) if not look["problem"]]
    if not usable:
        return
    asked = [me.looks[place]["asked"] for place in usable]
    typed = needed(asked, me.key)
    if not all(me.looks[place]["network"] or "arch" in me.looks[place]["asked"] for place in usable):
        # What an entry of a checkpoint or a size decides is seen after another look.
        if st.button("Go on", type="primary", icon=":material/arrow_forward:", key="add_on"):
            typed_now = [stated_of(look["asked"], typed, {}) for look in me.looks]
            me.look(me.sources, [{**known, **now} for known, now in zip(me.stated, typed_now, strict=True)])
            st.rerun()
        return
    more = optional(len(usable), me.files.class_names() if me.files else None, me.key)
    out = choose_target(shown, me.key)
    if st.button("Add to zoo", type="primary", icon=":material/add:", key="add_now"):
        sources = []
        for place, each in zip(usable, asked, strict=True):
            _require(_short(me.sources[place]), each, typed)
            sources.append([me.sources[place], {**me.stated[place], **stated_of(each, typed, more)}])
        me.lines, me.errand = [], ZooErrand(holding=me.files, work="add", sources=sources, out=out)
        st.rerun()


def _require(name: str, asked: dict[str, dict[str, str]], typed: dict[str, Any]) -> None:
    """``BadInput``: something that has to be stated was not."""
    if missing := [LABELS[name].lower() for name in LABELS if name in asked and name not in typed]:
        raise BadInput(f"{name}: nothing says its {', '.join(missing)}, and nothing is assumed: fill that in.")


def _problems(me: Bringing) -> None:
    for line in me.lines:
        st.error(plain(line), icon=":material/error:")
