"""A zoo and runs of a foreign hand: each text in them is markup that must be shown as it stands."""

import json
import re

from dfml.core.events import Embedding, Note, Progress, Scalars, ZooMap
from dfml.core.paths import write_json
from dfml.runs.recorder import Recorder
from dfml.runs.status import read_raw, write_raw

ADDRESS = "evil.example"
MARKUP = f"![m](http://{ADDRESS}/m.png)<b>m</b>:material/evil:`"
"""A picture of another address, HTML, an icon, and what would end a piece of code."""

NAME = "![n](n.png)<b>n<b>:streamlit:`"
"""The same for names of folders."""

BARE = re.compile(r"(?<!\\)(?:\\\\)*(\[[mn]\\*\]\\?\(|</?b>)|:material/evil:|(?<!\\):streamlit:|http://evil")
TAG = re.compile(r"</?b>")
AS_IT_STANDS = {
    # Streamlit shows these without reading markup.
    "Selectbox": {"options", "raw_value", "set_value", "value"},
    "MultiSelect": {"options", "raw_values", "default", "value"},
    "Arrow": {"data", "columns", "alt"},
    "Json": {"body"},
    "Code": {"code_text"},
    "PageLink": {"query_string", "page"},
    "TextInput": {"default", "value", "placeholder"},
    "TextArea": {"default", "value"},
    # What components are told; they set it as text alone, which tests/browser looks at.
    "BidiComponent": {"json"},
}
MEDIANS = ("recovered_to_training", "recovered_to_training_equal", "recovered_to_held_out", "held_out_to_training")
ALWAYS = {"id", "key", "alt", "form_id", "element_id", "url", "hash"}


def hostile_zoo(folder):
    """Turn a zoo's folder into one whose every text is markup."""
    index = json.loads((folder / "zoo.json").read_text())
    (folder / "000").rename(folder / NAME)
    models = [NAME, *index["models"][1:], f"{NAME}2"]
    write_json(folder / "zoo.json", {**index, "models": models, "name": MARKUP, "domain": MARKUP})
    for model in models[:2]:
        card = json.loads((folder / model / "dfml.json").read_text())
        classes = [f"{MARKUP}{i}" for i in range(len(card["classes"]))]
        write_json(
            folder / model / "dfml.json",
            {**card, "classes": classes, "source": MARKUP, "licence": MARKUP, "domain": MARKUP},
        )
    config = json.loads((folder / models[2] / "config.json").read_text())
    write_json(folder / models[2] / "config.json", {**config, "architecture": MARKUP})
    return folder


def hostile_run(run, zoo):
    """Turn a run into one on a hostile zoo whose every text is markup."""
    spec = json.loads((run.path / "spec.json").read_text())
    for key in ("method", "preset", "label", "group", "data", "device", "git", "created"):
        spec[key] = {"label": MARKUP[:80], "group": NAME[:40]}.get(key, MARKUP)
    spec |= {
        "zoo": str(zoo),
        "teachers": [NAME] if spec["teachers"] else [],
        "versions": {MARKUP: MARKUP},
        "config": {MARKUP: MARKUP},
    }
    if spec["kind"] == "train":
        spec["label"] = ""
    raw = read_raw(run.path)
    with Recorder(run.path, raw) as recorder:
        for step in (61, 62):
            recorder.record(Progress(step, 70, MARKUP))
            recorder.record(Scalars(step, {f"train/{NAME}": 1.0, MARKUP: 0.5, f"reliability/{MARKUP}": 0.5}))
            recorder.record(Scalars(step, {f"inversion/{NAME}": 0.5}), tag=NAME)
        recorder.record(Note(61, MARKUP, kind="adversarial"))
        recorder.record(Embedding(61, [MARKUP, NAME], [[0.0, 1.0], [1.0, 0.0]]))
        recorder.record(ZooMap(61, [MARKUP, NAME], [[1, 0], [0, 1]], [0, 1], [[0, 0], [1, 1]], MARKUP))
    write_json(run.path / "spec.json", spec)
    write_raw(run.path, {**raw, "text": MARKUP, "error": MARKUP, "device": MARKUP, "device_reason": MARKUP})
    if (run.path / "result.json").is_file():
        result = json.loads((run.path / "result.json").read_text())
        write_json(run.path / "result.json", {**result, "test_data": MARKUP, "episodes": MARKUP, "shots": MARKUP})
        card = {"learner": MARKUP, "method": MARKUP, "zoo": NAME, "side_information": [MARKUP], "adapt_steps": 3}
        write_json(run.path / "model" / "dfml.json", card)
    for report in run.path.glob("recovered/*/report.json"):
        value = json.loads(report.read_text())
        value |= {"classes": [f"{MARKUP}{i}" for i in range(len(value["classes"]))], "method": MARKUP, "zoo": MARKUP}
        value |= {"teacher": NAME, "oracle": {"kind": "zeroth-order", "q": MARKUP}, "steps": MARKUP}
        write_json(report, value)
        space = {"space": MARKUP, "nearest_is_training": 0.5, "by_chance": [0.4, 0.6], "twice_as_near": MARKUP}
        space |= {"twice_as_near_held_out": MARKUP}
        space |= {name: {"median": 1.0} for name in MEDIANS}
        pairs = [{"ratio": 1.0, "recovered_class": MARKUP, "training_class": MARKUP}]
        privacy = {"level": MARKUP, "verdict": MARKUP, "notes": [MARKUP], "data": MARKUP, "pairs": pairs}
        privacy["membership"] = [{"score": MARKUP, "verdict": MARKUP, "auc": 0.6, "ci95": [0.5, 0.7], "tells": True}]
        write_json(report.with_name("privacy.json"), {**privacy, "spaces": [space], "recovered": MARKUP})
        report.parent.rename(report.parent.with_name(NAME))
    path = run.path.with_name(f"{run.path.name}-{NAME}")
    run.path.rename(path)
    return path


def messages(app):
    """Every message that the page sends to the browser: kind, field and text of each piece of text."""

    def strings(kind, message, path=()):
        for field, value in message.ListFields():
            if field.type == field.TYPE_STRING:
                for text in [value] if isinstance(value, str) else value:
                    yield kind, field.name, text
            elif field.type == field.TYPE_MESSAGE:
                many = hasattr(value, "__len__") and not hasattr(value, "ListFields")
                for one in (value.values() if hasattr(value, "values") else value) if many else [value]:
                    if hasattr(one, "ListFields"):
                        yield from strings(type(one).__name__ if kind is None else kind, one)

    def walk(node):
        proto = getattr(node, "proto", None)
        if proto is not None and hasattr(proto, "ListFields"):
            yield from strings(type(proto).__name__, proto)
        for child in getattr(node, "children", {}).values():
            yield from walk(child)

    return list(walk(app._tree))


def bare(app):
    """Foreign markup that the browser would act upon: kind of element, field, text."""
    return [
        (kind, field, text[:300])
        for kind, field, text in messages(app)
        if (TAG if kind == "PlotlyChart" else BARE).search(text)
        and field not in ALWAYS
        and field not in AS_IT_STANDS.get(kind, ())
    ]
