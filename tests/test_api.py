"""The names of ``import dfml``: equal to the command line's results, and clear in what they refuse."""

import ast
import inspect
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import dfml
from dfml.cli import main, models, runs
from dfml.core.errors import BadInput, RunFailed, StopRequested
from dfml.core.paths import runs_root
from dfml.inversion import INVERTERS
from dfml.meta.own_classes import read_pictures, read_support
from dfml.methods import METHODS
from dfml.reports.recovery import Recovery
from dfml.runs.folder import RunFolder
from dfml.runs.spec import RunSpec

SMALL = {
    "width": 4, "test_steps": 2, "iterations": 3, "tasks": 1, "shot": 1, "query": 2, "inner_steps": 1, "warm_start": 1,
    "validate_every": 2, "validation_episodes": 2,
}  # fmt: skip
CPU = {"device": "cpu", "threads": 1}


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DFML_LOCKS", str(tmp_path / "locks"))


@pytest.fixture(scope="module")
def trained(tiny_zoo_folder, patterns):
    from dfml.runs.jobs import train as jobs

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(jobs, "TEST_EPISODES", 2)
        return dfml.train(tiny_zoo_folder, "purer", data=patterns, seed=3, **SMALL, **CPU)


@pytest.fixture
def answer(capsys):
    """Call a command with ``--json`` and return its object."""

    def call(*words):
        threads = torch.get_num_threads()
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in (*words, "--json")])
        torch.set_num_threads(threads)
        told = capsys.readouterr()
        assert not left.value.code, told.err
        return json.loads(told.out)

    return call


def _sets(options):
    return [word for name, value in options.items() for word in ("--set", f"{name}={value}")]


def _support(patterns, classes=3, per_class=2):
    folders = sorted((patterns / "test").iterdir())[:classes]
    return {folder.name: sorted(folder.iterdir())[:per_class] for folder in folders}


def _array(path):
    return np.asarray(Image.open(path))


def test_the_public_names_are_those_that_are_promised():
    assert set(dfml.__all__) == {"MetaModel", "adapt", "evaluate", "invert", "open_zoo", "train"}
    assert set(dfml.__all__) | {"__version__"} <= set(dir(dfml))
    for name in dfml.__all__:
        assert inspect.getdoc(getattr(dfml, name))
    stub = ast.parse(Path(dfml.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    assert {node.names[0].asname for node in stub.body if isinstance(node, ast.ImportFrom)} == set(dfml.__all__)
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = dfml.nothing_here


def test_the_page_calls_the_functions_as_they_are():
    page = (Path(dfml.__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = map(ast.parse, re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    named = set()
    for call in (node for block in blocks for node in ast.walk(block) if isinstance(node, ast.Call)):
        owner, _, name = ast.unparse(call.func).rpartition(".")
        if owner == "dfml":
            given = {keyword.arg: None for keyword in call.keywords}
            inspect.signature(getattr(dfml, name)).bind(*call.args, **given)
            named.add(name)
    assert named == set(dfml.__all__) - {"MetaModel"}


def test_the_code_of_the_page_runs(tiny_zoo, trained, patterns, tmp_path, monkeypatch):
    """As it stands, but for a small zoo and less work; what is done with the results is done with real ones."""
    page = (Path(dfml.__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
    invert, evaluate = dfml.invert, dfml.evaluate
    monkeypatch.setattr(dfml, "open_zoo", lambda name: tiny_zoo)
    monkeypatch.setattr(dfml, "invert", lambda zoo, which, **given: invert(zoo, which, images_per_class=1, steps=1))
    monkeypatch.setattr(dfml, "train", lambda *given, **more: trained)
    monkeypatch.setattr(dfml, "evaluate", lambda model, data, **given: evaluate(model, patterns, shots=1, episodes=1))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(patterns / "test", "support")
    shutil.copytree(next((patterns / "val").iterdir()), "query")
    paths = sorted(Path("query").iterdir())
    known = {"cats": np.zeros((2, 8, 8)), "dogs": np.ones((2, 8, 8)), "paths": paths}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(block, known)
    assert len(known["mine"].predictions) == len(paths) and (tmp_path / "my-model" / "dfml.json").is_file()


@pytest.mark.parametrize(("function", "registry"), [(dfml.invert, INVERTERS), (dfml.train, METHODS)])
def test_no_option_is_hidden_by_an_argument_of_the_same_name(function, registry):
    arguments = set(inspect.signature(function).parameters)
    assert not {name: taken for name in registry if (taken := arguments & set(registry.get(name).Config.model_fields))}


@pytest.mark.parametrize(
    ("function", "command", "left_out"),
    [
        (dfml.invert, runs.invert, {"resume", "cluster"}),
        (dfml.train, runs.train, {"resume", "from_", "dry_run", "cluster", "images_size", "classes_per_teacher"}),
        (dfml.evaluate, models.evaluate, {"against"}),
        (dfml.adapt, models.adapt, {"out", "overwrite"}),
    ],
)
def test_a_function_takes_the_options_of_its_command_but_those_named(function, command, left_out):
    taken = set(inspect.signature(function).parameters)
    own = {
        "method": "inverter", "per_class": "images_per_class", "oracle_set": "oracle_options", "adapt": "how",
        "set_": "options" if "options" in taken else "calibrate_options",
    }  # fmt: skip
    asked = set(inspect.signature(command).parameters) - {"context", "json"}
    assert {name for name in asked if not {name, own.get(name)} & taken} == left_out


def test_recoveries_are_those_of_the_command(answer, tiny_zoo_folder, tiny_zoo, tmp_path):
    words = ["--zoo", tiny_zoo_folder, "--method", "generator", "--per-class", 2, "--set", "steps=2", "--seed", 5]
    other = answer("invert", *words, "--teacher", "2,0", "--device", "cpu", "--threads", 1, "--out", tmp_path / "run")
    told = []
    found = dfml.invert(
        tiny_zoo,
        [2, "000"],
        "generator",
        images_per_class=2,
        seed=5,
        steps=2,
        progress=lambda *a: told.append(a),
        **CPU,
    )
    assert list(found.recoveries) == ["002", "000"] and not found.problems
    for teacher, recovery in found.recoveries.items():
        stored = Recovery.load(tmp_path / "run" / "recovered" / teacher)
        for part in ("images", "labels", "soft_targets"):
            assert torch.equal(getattr(recovery.task, part), getattr(stored.task, part)), (teacher, part)
        assert recovery.task.images.shape == (10, 3, 32, 32) and recovery.report["config"] == stored.report["config"]
    assert {key: found.summary[key] for key in ("images", "queries")} == {"images": 20, "queries": other["queries"]}
    assert found.curves["inversion/ce"][0] and told and all(isinstance(text, str) for _, _, text in told)


def test_training_gives_the_model_of_the_command(answer, trained, tiny_zoo_folder, patterns, tmp_path, monkeypatch):
    from dfml.runs.jobs import train as jobs

    monkeypatch.setattr(jobs, "TEST_EPISODES", 2)
    words = ["--zoo", tiny_zoo_folder, "--data", patterns, "--seed", 3, "--device", "cpu", "--threads", 1]
    other = answer("train", "--method", "purer", *words, *_sets(SMALL), "--out", tmp_path / "run")
    stored = dfml.MetaModel.load(tmp_path / "run" / "model").params
    assert stored.keys() == trained.model.params.keys()
    assert all(torch.equal(weight, stored[name]) for name, weight in trained.model.params.items())
    for key in ("test_accuracy", "ci95", "val_accuracy", "right", "episode_list"):
        assert trained.summary[key] == other[key], key
    assert len(trained.curves["val/accuracy"][0]) == 2


def test_evaluations_and_adaptations_are_those_of_the_commands(answer, trained, patterns, tmp_path):
    trained.model.save(tmp_path / "model")
    words = ["evaluate", "--model", tmp_path / "model", "--data", patterns, "--episodes", 2, "--query", 3]
    rows = answer(*words, "--shots", "1,2", "--steps", 3, "--lr", 0.02, "--seed", 4, "--device", "cpu")["rows"]
    arguments = {"shots": (1, 2), "episodes": 2, "query": 3, "steps": 3, "lr": 0.02, "seed": 4, "device": "cpu"}
    found = dfml.evaluate(trained.model, patterns, **arguments)
    assert len(rows) == 12
    for row, evaluation in zip(rows, found, strict=True):
        mine = evaluation.row()
        assert all(mine[key] == row[key] for key in mine if "seconds" not in key)

    support = _support(patterns)
    for name, files in support.items():
        (tmp_path / "support" / name).mkdir(parents=True)
        for file in files:
            shutil.copy(file, tmp_path / "support" / name)
    (tmp_path / "support" / name / "notes.png").write_text("no picture")
    words = ["adapt", "--model", tmp_path / "model", "--support", tmp_path / "support", "--query", patterns / "val"]
    other = answer(*words, "--adapt", "steps", "--bn", "transductive", "--steps", 2)
    mine = dfml.adapt(
        str(tmp_path / "model"), tmp_path / "support", patterns / "val", how="steps", bn="transductive", steps=2
    )
    best = zip(mine.names, mine.predictions, mine.probabilities.max(1).values.tolist(), strict=True)
    assert [{"file": f, "class": c, "probability": round(p, 4)} for f, c, p in best] == other["predictions"]
    assert (mine.classes, mine.problems) == (other["classes"], other["problems"]) and mine.problems
    # The same images however they are handed over, the folder's unreadable file apart.
    files = sorted((patterns / "val").rglob("*.png"))
    arrays = {name: np.stack([_array(file) for file in paths]) for name, paths in support.items()}
    query = torch.from_numpy(np.stack([_array(file) for file in files])).permute(0, 3, 1, 2) / 255
    again = dfml.adapt(trained.model, arrays, query, how="steps", bn="transductive", steps=2)
    torch.testing.assert_close(again.probabilities, mine.probabilities)
    own = dfml.adapt(trained.model, support, how="centroid")
    assert own.names[0] == f"{own.classes[0]}/00000.png" and own.probabilities.shape == (6, 3)


def test_images_are_the_same_however_they_are_handed_over(patterns):
    folder = sorted((patterns / "test").iterdir())[0]
    files = sorted(folder.iterdir())[:3]
    whole = np.stack([_array(file) for file in files])
    wanted, names, _ = read_pictures(files, size=20, channels=1)
    assert wanted.shape == (3, 1, 20, 20) and names[0] == files[0].name
    for given in (whole, torch.from_numpy(whole).permute(0, 3, 1, 2)):
        assert torch.equal(read_pictures(given, size=20, channels=1)[0], wanted)
    assert torch.equal(read_pictures(str(files[0]), size=20, channels=1)[0], wanted[:1])
    assert torch.equal(read_pictures(folder, size=20, channels=1)[0][:3], wanted)
    assert read_pictures(whole[..., 0], size=20, channels=3)[0].shape == (3, 3, 20, 20)
    wide = np.zeros((1, 8, 12, 1))
    wide[:, :, 2:10] = 0.5
    assert (read_pictures(wide, size=4, channels=3)[0] == 0.5).all(), "the middle square alone"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (np.zeros((2, 3, 8, 8)), r"\(2, 3, 8, 8\)"),
        (torch.zeros(2, 8, 8, 3), r"\(2, 8, 8, 3\)"),
        (np.zeros((0, 8, 8)), r"\(0, 8, 8, 1\)"),
        (np.zeros((1, 8, 8), dtype=np.int64), "int64"),
        (np.full((1, 8, 8), 255.0), "255"),
        (torch.full((1, 1, 8, 8), torch.nan), "nan"),
        ([], "empty"),
        ("no-such-file.png", "no-such-file.png"),
    ],
    ids=str,
)
def test_what_is_no_image_is_refused(given, told):
    with pytest.raises(BadInput, match=told):
        read_pictures(given, size=8, channels=1)


def test_one_class_is_no_support_set():
    with pytest.raises(BadInput, match="at least 2 classes"):
        read_support({"only": np.zeros((1, 8, 8))}, size=8, channels=1)


def test_classes_of_a_mapping_keep_its_order_and_two_of_one_name_are_refused():
    one = np.zeros((1, 8, 8))
    assert read_support({"b": one, "a": one}, size=8, channels=1).class_names == ["b", "a"]
    with pytest.raises(BadInput, match="one name"):
        read_support({1: one, "1": one, "a": one}, size=8, channels=1)


def test_unknown_names_and_values_out_of_range_are_refused(tiny_zoo, trained, patterns, monkeypatch):
    from dfml.runs import products

    monkeypatch.setattr(products, "run_in_process", lambda *_, **__: pytest.fail("a run has begun"))
    for message, call in (
        ("stepz", lambda: dfml.invert(tiny_zoo, stepz=3)),
        ("pixel", lambda: dfml.invert(tiny_zoo, 0, "pixel")),
        ("no teacher '9'", lambda: dfml.invert(tiny_zoo, 9)),
        ("no teacher was named", lambda: dfml.invert(tiny_zoo, [])),
        ("'images_per_class'", lambda: dfml.invert(tiny_zoo, images_per_class=0)),
        ("no data set at nowhere", lambda: dfml.invert(tiny_zoo, data="nowhere")),
        ("budgett", lambda: dfml.invert(tiny_zoo, oracle_options={"budgett": 1})),
        ("purr", lambda: dfml.train(tiny_zoo, "purr")),
        ("iteration", lambda: dfml.train(tiny_zoo, "purer", iteration=3)),
        ("iterations", lambda: dfml.train(tiny_zoo, "purer", iterations=0)),
        ("real training images", lambda: dfml.train(tiny_zoo, "real-data")),
        ("50-way episodes .* set way", lambda: dfml.train(tiny_zoo, "free", way=50)),
        ("no zoo at", lambda: dfml.train("no-such-zoo", "purer")),
        ("inductiv", lambda: dfml.evaluate(trained.model, patterns, bn="inductiv")),
        ("step", lambda: dfml.evaluate(trained.model, patterns, how="step")),
        ("'steps'", lambda: dfml.evaluate(trained.model, patterns, steps=0)),
        ("'lr'", lambda: dfml.evaluate(trained.model, patterns, lr=0)),
        ("seed", lambda: dfml.evaluate(trained.model, patterns, seed=-1)),
        ("seed", lambda: dfml.evaluate(trained.model, patterns, seed=2**70)),
        ("threads", lambda: dfml.evaluate(trained.model, patterns, threads=0)),
        ("threads", lambda: dfml.evaluate(trained.model, patterns, threads=10**6)),
        ("shots", lambda: dfml.evaluate(trained.model, patterns, shots=[])),
        ("shots", lambda: dfml.evaluate(trained.model, patterns, shots="1,5")),
        ("way", lambda: dfml.evaluate(trained.model, patterns, way=1)),
        ("episodes", lambda: dfml.evaluate(trained.model, patterns, episodes=1.5)),
        ("no teacher '1.5'", lambda: dfml.invert(tiny_zoo, 1.5)),
        ("seed", lambda: dfml.adapt(trained.model, patterns / "test", seed=-1)),
        ("calibrate='icfil'", lambda: dfml.evaluate(trained.model, patterns, calibrate_options={"steps": 1})),
        ("no model at", lambda: dfml.adapt("no-such-model", patterns / "test")),
        ("no support set at", lambda: dfml.adapt(trained.model, patterns / "nowhere")),
    ):
        with pytest.raises(BadInput, match=message) as refused:
            call()
        assert "\n" not in str(refused.value)


def test_a_tilde_is_the_home_wherever_a_path_is_given(tiny_zoo, trained, patterns, tmp_path, monkeypatch):
    home = tmp_path / "home"
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    shutil.copytree(patterns, home / "data")
    trained.model.save("~/model")
    dfml.invert(tiny_zoo, images_per_class=1, steps=1, against="~/model", out="~/run", **CPU)
    assert dfml.evaluate("~/model", "~/data", shots=1, episodes=1, how="centroid", device="cpu")
    assert dfml.adapt("~/model", "~/data/test", how="centroid", device="cpu").names
    METHODS.get("real-data").check_data("~/data")
    asked = RunSpec(kind="train", method="purer", zoo="~/zoo", data="~/data", start="~/model").recorded()
    assert (asked.data, asked.start) == (str(home / "data"), str(home / "model"))
    assert sorted(path.name for path in home.iterdir()) == ["data", "model", "run"]


def test_whole_numbers_of_numpy_are_whole_numbers(tiny_zoo, trained, patterns):
    assert list(dfml.invert(tiny_zoo, np.int64(1), images_per_class=np.int64(1), steps=1, **CPU).recoveries) == ["001"]
    shape = {"shots": np.array([1]), "episodes": np.int32(1), "how": "centroid", "bn": "inductive", "device": "cpu"}
    one, other = (dfml.evaluate(trained.model, patterns, seed=seed, **shape)[0] for seed in (np.int64(7), 7))
    assert one.row()["episode_list"] == other.row()["episode_list"]
    assert RunSpec.parse({"kind": "train", "method": "", "seed": np.int64(2**62 + 1)}).seed == 2**62 + 1


def test_nothing_stays_of_a_run_that_is_not_kept_and_threads_are_put_back(tiny_zoo, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = torch.get_num_threads()
    options = {"images_per_class": 1, "steps": 1, "device": "cpu", "threads": before + 1}
    dfml.invert(tiny_zoo, **options)

    def fail(*_):
        raise ValueError("enough of it")

    def stop(*_):
        raise StopRequested("enough")

    with pytest.raises(RunFailed, match="enough of it") as failed:
        dfml.invert(tiny_zoo, progress=fail, **options)
    assert "log.txt" not in str(failed.value)
    with pytest.raises(StopRequested, match="before its end"):
        dfml.invert(tiny_zoo, progress=stop, **options)
    assert torch.get_num_threads() == before
    assert not runs_root().exists() and not [name for name in os.listdir(tmp_path) if name.startswith("dfml-")]
    kept = dfml.invert(tiny_zoo, out=tmp_path / "kept", label="mine", **options)
    assert kept.summary["run"] == str(tmp_path / "kept") and (tmp_path / "kept" / "result.json").is_file()
    assert RunFolder(tmp_path / "kept").title == "mine"
