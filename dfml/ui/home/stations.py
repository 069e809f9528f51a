"""The way from noise to a prediction as one strip of pictures, all of recorded runs; each leads to its page."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st
from PIL import Image

from dfml.core.paths import ASSETS
from dfml.runs.folder import RunFolder, StoredImages
from dfml.runs.recorded import recorded_run
from dfml.runs.recorded.scene import Answers, Scene
from dfml.ui.components.line_chart import Level, Line, line_chart
from dfml.ui.components.tile_grid import tile_grid
from dfml.ui.runs.run_rows import finite
from dfml.ui.widgets.galleries import open_sheet, show_moving, show_strip, strip
from dfml.ui.widgets.navigation import ADAPTATION, INVERSION, TRAINING, ZOO, Page
from dfml.ui.widgets.texts import percent, plain, spaced

INVERTED, TRAINED = "pixels-000", "purer"
SHOWN, ANSWERS, SIDE, MILLISECONDS = 6, 4, 64, 220
"""Pictures of a station, of the last one, their size in pixels, and how long each frame of the moving ones stands."""
CHART_HEIGHT = 168


def pipeline_strip(scene: Scene | None) -> None:
    """Draw the four stations; one whose recorded run is missing keeps its words and its link."""
    inverted, trained = recorded_run(INVERTED), recorded_run(TRAINED)
    frames = _frames(inverted)
    grid = st.grid(4, min_column_width=178, border=True, gap="small")
    zoo = {"zoo": Path(inverted.spec.zoo or "").name, "teacher": inverted.spec.teachers[0]} if inverted else {}
    with grid.cell():
        _title(ZOO, "1. A teacher", zoo)
        if frames:
            show_strip(frames[0], f"{len(frames[0])} pictures of noise", side=SIDE, columns=3)
        st.caption("A trained classifier; its training images are gone. All that there is to begin with is noise.")
    with grid.cell():
        _title(INVERSION, "2. Recovery", {"run": INVERTED} if inverted else {})
        if frames:
            names = spaced(", ".join(_classes(inverted)))
            alt = f"The same pictures on their way from noise until the teacher sees its classes in them: {names}"
            show_moving([strip(pictures, side=SIDE, columns=3) for pictures in frames], alt, milliseconds=MILLISECONDS)
        st.caption("**Inversion** changes the noise until the teacher sees its classes in it.")
    with grid.cell():
        _title(TRAINING, "3. Training", {"run": TRAINED} if trained else {})
        if trained:
            _curve(trained)
        st.caption(
            "**Meta-training** on tasks of such pictures. The curve: right answers on small tests during it, of "
            "classes that no teacher knows."
        )
    with grid.cell():
        link = {"model": scene.shown, "set": scene.set, "how": scene.how} if scene else {}
        _title(ADAPTATION, "4. Answers", link)
        if scene and scene.queries:
            _answers(scene)
        st.caption("**Adaptation** to a few real pictures of new classes, then an answer for each other one.")


def _title(page: Page, title: str, link: dict[str, str]) -> None:
    st.page_link(page.file, label=f"**{title}**", icon=page.icon, query_params=link or None, help="")


def _classes(run: RunFolder | None) -> Sequence[str]:
    from dfml.ui.zoo.choose_zoo import open_listing

    if run is None:
        return []
    listing = open_listing(Path(run.spec.zoo or "").name)
    return next((row.class_names for row in listing.teachers if row.id == run.spec.teachers[0]), ())


def _frames(run: RunFolder | None) -> list[list[Image.Image]]:
    """The same few pictures, of different classes, at each stored step."""
    if run is None:
        return []
    entries = [entry for entry in run.images() if entry.labels]
    opened = [(entry, open_sheet(entry)) for entry in entries]
    return [[pictures[place] for place in _spread(entry)] for entry, pictures in opened if pictures]


def _spread(entry: StoredImages) -> list[int]:
    """Places of so many pictures, of the classes in turn."""
    by_class: dict[int, list[int]] = {}
    for place, label in enumerate(entry.labels):
        by_class.setdefault(label, []).append(place)
    rounds = max(map(len, by_class.values()))
    turns = [places[turn] for turn in range(rounds) for places in by_class.values() if turn < len(places)]
    return turns[:SHOWN]


def _curve(run: RunFolder) -> None:
    steps, values = finite(run.scalars()).get("val/accuracy", ([], []))
    way = run.spec.config.get("way")
    levels = [Level("guessing", 1 / way)] if isinstance(way, int) and way > 0 else []
    alt = f"Accuracy on validation classes over the training of {run.spec.method}"
    if values:
        alt += f", at the end {percent(values[-1])}"
    look = {"key": "home:curve", "percent": True, "height": CHART_HEIGHT, "levels": levels}
    line_chart([Line(run.spec.method, steps, values)], y="accuracy", alt=alt, **look)


def _answers(scene: Scene) -> None:
    queries = scene.queries[:ANSWERS]
    tile_grid(
        [ASSETS / query.picture for query in queries],
        key="home:answers",
        captions=[spaced(query.said) for query in queries],
        signs=["right" if query.said == query.label else "wrong" for query in queries],
        side=72,
        columns=2,
        pick=False,
        alt="; ".join(f"a picture of {spaced(query.label)}, taken for {spaced(query.said)}" for query in queries),
    )


def headline(scene: Scene) -> str:
    """Say how much better than chance a model is that was trained without data, on the example set."""
    told, shown = scene.models, scene.models[scene.shown]
    beside = [f"a network of random weights, which has learned nothing, {_share(told['random'])}"] * ("random" in told)
    guess = [f"guessing {round(100 / len(scene.classes))} %"] * bool(scene.classes)
    kinds = f"{len(scene.classes)} new kinds of {plain(spaced(scene.set.replace('-', ' ')))}"
    first = (
        f"Shown {scene.shots} pictures each of {kinds}, the recorded `{plain(scene.shown)}` model, which never saw a "
        f"real picture in training, names **{_share(shown)}** of {shown.of} others right"
    )
    return "; ".join([first, *beside, *guess]) + "."


def _share(answers: Answers) -> str:
    return f"{round(100 * answers.share)} %"


def why_numbers_differ(scene: Scene) -> str:
    """Say on what each accuracy of the model that is shown was measured; empty where its run tells none."""
    run = recorded_run(scene.shown)
    result = (run.result() if run else None) or {}
    test, episodes, watched = (result.get(name) for name in ("test_accuracy", "episodes", "val_accuracy"))
    if test is None or watched is None or not episodes:
        return ""
    shown = scene.models[scene.shown]
    return (
        f"One model, three numbers: {percent(watched)} at the end of the curve, on classes that only serve to follow a "
        f"training; {percent(test)} in its test, the mean of {episodes} tasks of other new classes; {_share(shown)} on "
        f"the {shown.of} pictures of this one example. Some classes are harder than others, and few pictures make a "
        "number uncertain: models are compared by their tests."
    )
