"""Stored recoveries (``RUN/recovered/<teacher>``, read without torch): a gallery of all, a table of their quality."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import streamlit as st
from PIL import Image
from pydantic import Field

from dfml.core.config import Count, Moment, Number, Record, Share, Text
from dfml.core.errors import BadInput
from dfml.core.model_config import tensor_shapes
from dfml.core.names import natural
from dfml.core.paths import read_json
from dfml.runs.folder import RunFolder
from dfml.ui.runs.run_rows import RunRow
from dfml.ui.widgets.galleries import from_arrays, show_strip
from dfml.ui.widgets.texts import counted, duration, empty_state, one_line_errors, percent, plain, spaced, with_interval

PER_ROW, ROWS_A_PAGE = 10, 8
MOST_NUMBERS = 200_000_000
"""Numbers in a recovery's images; a larger file is not opened by a page."""
HELP = {
    "Time": "Wall clock of the recovery alone, without warm-up, loading and measuring. It depends on the machine and "
    "on what else it does: compare within one comparison.",
    "Warm-up": "Time that the inverter learned on other teachers before. It is paid once, kept, and serves every later "
    "recovery with the same options and seed. A dash: it needs none.",
    "Passes": "Batches that the teacher computed, forward and backward or forward only. The fair measure of work "
    "where the machine is busy; it leaves out the inverter's own network.",
    "Queries": "Images that the teacher was asked about. What counts where a teacher only answers questions.",
    "Teacher": "Share of the images that their own teacher takes for the class that was asked for. Recovery aims at "
    "just this, so it is high nearly always and says little about what the images show.",
    "Judge": "Share on which a judge agrees: a network of another architecture, trained on the same classes, that no "
    "inverter saw. It says whether the class is in the images for others too. ± is its 95 % interval, which "
    "takes the images for independent and is rather too narrow; guessing gives 1 / classes.",
    "Judge on real": "How often the judge is right on real images that it did not see in training. An agreement near "
    "it means as recognisable, to this judge, as real images; above it does not mean better than real.",
    "Diversity": "How different the images of one class are, in the features of one fixed network: 0 where all are "
    "the same, about 0.3 for real images. It does not say that they look like anything.",
    "BN distance": "How far the statistics of the images are from those that the teacher remembers; lower is nearer. "
    "Inverters lower it directly, and it depends on the number of images: compare it for one teacher and equally "
    "many images only.",
}

WIDTHS = {"Warm-up": 68, "Judge": 108, "Judge on real": 90, "BN distance": 88, "Diversity": 74}
"""Pixels; wide enough for the numbers, narrow enough for a page of 1280."""


class _WarmUp(Record):
    steps: Count | None = None
    seconds: Moment | None = None


class _Asked(Record):
    kind: Text | None = None
    q: Count | None = None


class _Report(Record):
    """``report.json`` of a recovery."""

    teacher: Annotated[str, Field(max_length=255)] | None = None
    zoo: Text | None = None
    classes: Annotated[list[Text], Field(max_length=100_000)] | None = None
    method: Text | None = None
    steps: Count | None = None
    per_class: Annotated[int, Field(ge=1, le=100_000)] = 1
    images: Annotated[int, Field(ge=0, le=100_000)] = 0
    teacher_accuracy: Share | None = None
    judge_agreement: Share | None = None
    judge_agreement_ci95: Number | None = None
    judge_accuracy: Share | None = None
    seconds: Moment | None = None
    passes: Number | None = None
    queries: Number | None = None
    diversity: Number | None = None
    bn_distance: Number | None = None
    warm_up: _WarmUp | None = None
    oracle: _Asked | None = None


@dataclass(frozen=True)
class StoredRecovery:
    """One teacher's recovered images in their folder, the run's name and title, measures and settings."""

    run: str
    run_title: str
    teacher: str
    folder: Path
    report: dict[str, Any]

    @property
    def method(self) -> str:
        """The inverter's name."""
        return self.report.get("method") or "unknown inverter"

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the labels; ``class 0`` and so on where there are none."""
        names = self.report.get("classes")
        count = max(1, self.report.get("images", 0) // self.report.get("per_class", 1))
        return [spaced(name) for name in names] if names else [f"class {i}" for i in range(count)]

    def pictures(self) -> dict[str, list[Image.Image]]:
        """Return images by class name; ``BadInput`` where the file is missing or damaged."""
        file = self.folder / "pictures.safetensors"
        if not file.is_file():
            raise BadInput(f"the images of teacher {self.teacher} are missing in {self.folder}.")
        return _pictures(str(file), file.stat().st_mtime_ns, tuple(self.classes))


@st.cache_data(show_spinner=False, max_entries=64)
def _pictures(file: str, changed: int, classes: tuple[str, ...]) -> dict[str, list[Image.Image]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    shapes = tensor_shapes(Path(file), "recovered images")
    shape, count = shapes.get("images", []), shapes.get("labels", [])
    if len(shape) != 4 or shape[1] not in (1, 3) or count != shape[:1] or not 0 < math.prod(shape) <= MOST_NUMBERS:
        raise BadInput(f"{file} holds images of shape {shape} and labels of shape {count}: nothing that can be shown.")
    try:
        tensors = load_file(file)
        images, labels = from_arrays(tensors["images"]), [int(label) for label in tensors["labels"]]
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise BadInput(f"{file} is damaged: {error}.") from None
    return by_class(images, labels, classes)


def by_class(images: list[Image.Image], labels: list[int], classes: Sequence[str]) -> dict[str, list[Image.Image]]:
    """Sort images into rows by class name, in the order of the labels."""
    rows: dict[str, list[Image.Image]] = {}
    for picture, label in sorted(zip(images, labels, strict=False), key=lambda pair: pair[1]):
        name = classes[label] if 0 <= label < len(classes) else f"class {label}"
        rows.setdefault(name, []).append(picture)
    return rows


def stored_recoveries(run: RunFolder) -> list[StoredRecovery]:
    """Return the recoveries in a run's folder; a damaged one is left out."""
    found = []
    try:
        folders = sorted(path for path in (run.path / "recovered").iterdir() if path.name.isprintable())
    except OSError:
        return []
    for folder in folders:
        what = f"recovery {folder.name}"
        try:
            report = _Report.checked(read_json(folder / "report.json", what), what)
        except BadInput:
            continue
        found.append(StoredRecovery(run.name, run.title, report.get("teacher") or folder.name, folder, report))
    return found


def recovery_gallery(rows: list[RunRow]) -> None:
    """Draw all stored recoveries, by run, teacher and class."""
    left = [found for row in rows for found in stored_recoveries(row.run)]
    if not left:
        text = "Every finished recovery is kept here, by run, teacher and class."
        empty_state("The gallery is empty", text, icon=":material/photo_library:")
        return
    filters = st.grid(4, min_column_width=150)

    def choose(label: str, key: str, options: list[str], **look: Any) -> str:  # noqa: ANN401 - as the widget's
        return filters.selectbox(label, options, key=key, persist_state="session", **look)

    titles = {found.run: found.run_title for found in left}
    run = choose("Run", "gallery_run", ["all runs", *titles], format_func=lambda name: titles.get(name, name))
    left = [found for found in left if run in ("all runs", found.run)]
    teachers = sorted({found.teacher for found in left}, key=natural)
    teacher = choose("Teacher", "gallery_teacher", ["all teachers", *teachers])
    left = [found for found in left if teacher in ("all teachers", found.teacher)]
    method = choose("Inverter", "gallery_method", ["all inverters", *sorted({found.method for found in left})])
    left = [found for found in left if method in ("all inverters", found.method)]
    classes = sorted({name for found in left for name in found.classes}, key=natural)
    label = choose("Class", "gallery_class", ["all classes", *classes])
    items = [(found, name) for found in left for name in found.classes if label in ("all classes", name)]
    pages = -(-len(items) // ROWS_A_PAGE)
    page = min(st.session_state.get("gallery_page", 1), max(1, pages))
    for found, name in items[(page - 1) * ROWS_A_PAGE : page * ROWS_A_PAGE]:
        with st.container(border=True), one_line_errors():
            pictures = found.pictures().get(name, [])
            st.markdown(
                f"**{plain(name)}** · {plain(found.method)} · teacher {plain(found.teacher)} · "
                f"{percent(found.report.get('teacher_accuracy'))} of this teacher's images classified as asked"
            )
            if pictures:
                show_strip(pictures, f"{len(pictures)} images recovered for {name}", side=64, columns=PER_ROW)
            st.caption(plain(found.run_title))
    if pages > 1:
        st.pagination(pages, key="gallery_page")
    word = "recovery" if len(left) == 1 else "recoveries"
    st.caption(f"{counted(len(items), 'class row')} of {len(left)} {word}.")


def row_of(name: str, report: dict[str, Any]) -> dict[str, str | None]:
    """Return one line of the table: text per column, None where the number cannot be had."""
    warm, judge = report.get("warm_up") or {}, report.get("judge_agreement")

    def told(key: str, form: Callable[[float], str]) -> str | None:
        return None if report.get(key) is None else form(report[key])

    return {
        "Inverter": name,
        "Time": brief(report.get("seconds")),
        "Warm-up": brief(warm.get("seconds")) if warm.get("steps") else None,
        "Passes": told("passes", _count),
        "Queries": told("queries", _count),
        "Teacher": told("teacher_accuracy", percent),
        "Judge": None if judge is None else f"{with_interval(judge, report.get('judge_agreement_ci95'))} %",
        "Judge on real": told("judge_accuracy", percent),
        "Diversity": told("diversity", "{:.3g}".format),
        "BN distance": told("bn_distance", "{:.3g}".format),
    }


def brief(seconds: float | None) -> str | None:
    """Return seconds with a digit after the point where they are few: five steps take less than one."""
    if seconds is None:
        return None
    return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s" if seconds < 10 else duration(seconds)


def quality_table(found: Sequence[tuple[str, StoredRecovery | None]], key: str) -> None:
    """Draw one row per inverter (its name, its recovery); those that are not done have dashes."""
    if not any(recovery for _, recovery in found):
        return
    rows = [row_of(name, recovery.report if recovery else {}) for name, recovery in found]
    done = [row for row in rows if row["Teacher"]]
    column = st.column_config.TextColumn
    looks = {name: column(name, help=HELP[name], width=WIDTHS.get(name, 66), alignment="right") for name in HELP}
    st.markdown("**Quality and cost**", help="Point at a column's name, or open the list below, for what it says.")
    st.dataframe(
        {name: [row[name] or "–" for row in rows] for name in rows[0]},
        key=key,
        hide_index=True,
        width="stretch",
        column_config={"Inverter": column("Inverter", width=118, pinned=True), **looks},
        alt="; ".join(f"{row['Inverter']}: teacher accuracy {row['Teacher']}, judge {row['Judge']}" for row in done),
    )
    for name, recovery in found:
        if recovery:
            _remarks(f"**{plain(name)}**: " if len(found) > 1 else "", recovery.report)
    with st.expander("What these numbers say, and what they do not", icon=":material/help:"):
        st.markdown("\n".join(f"- **{name}**: {text}" for name, text in HELP.items()))


def _remarks(title: str, report: dict[str, Any]) -> None:
    """What has to be known beside a row."""
    parts, warm, asked = [], report.get("warm_up") or {}, report.get("oracle") or {}
    if warm.get("met_the_asked"):
        parts.append("this teacher took part in the warm-up, so it was not unseen")
    if warm.get("steps") and warm.get("kept"):
        parts.append("the warm-up was kept from an earlier run")
    if asked.get("kind") == "zeroth-order":
        parts.append(f"asked by queries only, {plain(str(asked.get('q')))} directions per image and step")
    if report.get("judge_agreement") is None:
        parts.append("no judge for this teacher")
    if parts:
        st.caption(f"{title}{'; '.join(parts)}.")


def _count(value: float) -> str:
    return f"{value / 1e6:.3g} M" if value >= 1e6 else f"{value:,.0f}"
