"""Ten foreign teachers, brought in by one manifest, teach in each method that can use them: nobody drops out unseen."""

import json
from collections import Counter

import pytest
import yaml

from dfml.cli import main
from dfml.zoo import open_zoo
from dfml.zoo.oracles.base import AutogradOracle
from dfml.zoo.oracles.choose import ZerothOrderOracle
from tests.zoo import foreign_teachers
from tests.zoo.test_foreign_teachers import TABLE

ASKED, LARGE = "graph", "thousand"
"""The one that only answers queries, and the one of 1,000 classes at 224 px."""
CLASSES, SIDE = 5, 32
LITTLE = {
    "tasks": 1, "width": 8, "shot": 1, "query": 2, "inner_steps": 1, "test_steps": 2, "validate_every": 100,
    "validation_episodes": 1,
}  # fmt: skip
RECOVERING = {
    **LITTLE, "iterations": 3, "recovered": "fresh", "recovered_per_class": 3, "inversion_steps": 2, "latent": 8,
    "generator_width": 8, "consensus": 0,
}  # fmt: skip
SETTINGS = {
    "purer": {**LITTLE, "iterations": 3, "warm_start": 1, "candidates": 10},
    "free": {
        **LITTLE, "iterations": 3, "warm_up": 1, "teachers": 20, "five_steps": 1, "recovered_per_class": 3,
        "latent": 8, "generator_width": 8, "replay_limit": 2,
    },
    "teapot": {**RECOVERING, "asked": 10, "panel": 3},
    "tgr": {**RECOVERING, "teachers": 3, "replay_limit": 2, "asked": 10},
    "distill": {**RECOVERING, "iterations": 4},
    "bidf-mkd": {
        **RECOVERING, "iterations": 40, "order": "rounds", "q": 3, "query_per_class": 2, "query_inversion_steps": 2,
        "generate_interval": 1, "boundary_after": 12,
    },
}  # fmt: skip
"""So little of each method's demo that it takes seconds, and enough that it comes round to everybody."""


def as_typed(foreign):
    """A row of a manifest: what the table calls unknown, as a person would write it."""
    told = {name[2:].replace("-", "_"): foreign.true[name] for name, said in TABLE[foreign.kind].items()
            if said == "unknown"}  # fmt: skip
    return {"source": foreign.path.name, **told}


def spied(monkeypatch):
    """By kind of oracle the images that each teacher looked at for gradients; ``at``: those that these are of."""
    seen = {"images": {AutogradOracle: Counter(), ZerothOrderOracle: Counter()}, "at": Counter(), "sides": set()}

    def spy(kind):
        plain = kind.loss_and_grad

        def loss_and_grad(oracle, x, *args, **kwargs):
            before = oracle.queries
            answer = plain(oracle, x, *args, **kwargs)
            seen["images"][kind][oracle.teacher_id] += oracle.queries - before
            seen["at"][oracle.teacher_id] += len(x)
            seen["sides"] |= set(x.shape[2:])
            assert answer.grad.isfinite().all()
            return answer

        monkeypatch.setattr(kind, "loss_and_grad", loss_and_grad)

    for kind in seen["images"]:
        spy(kind)
    return seen


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """The ten in one zoo, by the command line, each file opened in a process of its own."""
    pytest.importorskip("onnxruntime")
    place = tmp_path_factory.mktemp("foreign")
    ten = foreign_teachers.make(place)
    (place / "models.yaml").write_text(yaml.safe_dump([as_typed(foreign) for foreign in ten]), encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        main(["zoo", "import", "--manifest", f"{place}/models.yaml", "--trust-code", "--out", f"{place}/zoo"])
    zoo = open_zoo(place / "zoo")
    assert not left.value.code and zoo.ids == [foreign.path.name.split(".")[0] for foreign in ten]
    return zoo


@pytest.mark.slow
@pytest.mark.parametrize("method", SETTINGS)
def test_everybody_teaches_whom_a_method_can_ask(method, zoo, tmp_path, monkeypatch, capsys):
    words = ["train", "--zoo", str(zoo.folder), "--method", method, "--images-size", str(SIDE), "--threads", "1"]
    words += ["--classes-per-teacher", str(CLASSES), "--out", str(tmp_path / "run"), "--json"]
    words += [word for key, value in SETTINGS[method].items() for word in ("--set", f"{key}={value}")]
    seen = spied(monkeypatch)
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main(words)
    captured = capsys.readouterr()
    assert not left.value.code, captured.err
    said = json.loads(captured.out.splitlines()[-1])
    assert said["state"] == "finished"

    told = said["teachers"]
    left_out = {teacher: row["reason"] for row in told["left_out"] for teacher in row["ids"]}
    white_box = method in ("purer", "free")
    assert list(left_out) == ([ASKED] if white_box else []) and all("queries" in why for why in left_out.values())
    assert (told["taking_part"], told["of"]) == (len(zoo.ids) - len(left_out), len(zoo.ids))
    part = {c.id: f"{CLASSES} of {c.way}" for c in zoo.cards if c.way > CLASSES and c.id not in left_out}
    assert told["partly"] == part and part[LARGE] == f"{CLASSES} of 1000"

    by_gradients, by_queries = seen["images"].values()
    assert set(by_gradients) | set(by_queries) == set(zoo.ids) - set(left_out), (
        "who takes part was asked, and nobody else"
    )
    estimated = set(zoo.ids) if method == "bidf-mkd" else set() if white_box else {ASKED}
    assert set(by_queries) == estimated and not set(by_gradients) & estimated
    # For each image, one more along each of some directions.
    assert all(by_queries[teacher] > seen["at"][teacher] > 0 for teacher in estimated)
    assert seen["sides"] == {SIDE}

    model = json.loads((tmp_path / "run" / "model" / "config.json").read_text(encoding="utf-8"))
    details = json.loads((tmp_path / "run" / "model" / "dfml.json").read_text(encoding="utf-8"))
    assert model["pretrained_cfg"]["input_size"] == [3, SIDE, SIDE]
    assert details["queries"] >= by_gradients.total() + by_queries.total() > 0
