"""What a command lists, completes and refuses is told without torch and its like, whose import takes seconds."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.main import get_command

from dfml.cli import app
from dfml.core.paths import REPOSITORY, read_json, write_json
from dfml.inversion import INVERTERS
from dfml.methods import METHODS

HEAVY = ("torch", "timm", "pandas", "sklearn", "streamlit", "torchvision", "plotly", "scipy")
CALL = f"""
import contextlib, io, json, os, sys
from dfml.cli import main
sys.modules["onnx"] = None  # as if it were not installed
for words, variables in json.load(sys.stdin):
    out, err, code = io.StringIO(), io.StringIO(), None
    os.environ.update(variables)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
        except SystemExit as stop:
            code = stop.code or 0
    for name in variables:
        del os.environ[name]
    loaded = [name for name in {HEAVY} if name in sys.modules]
    print(json.dumps([code, out.getvalue(), err.getvalue(), loaded]))
"""
TEACHERS, TIMES_A_BARE_START = 100, 8
"""A bare start imports what the commands' options are made of; torch alone takes forty times as long."""

REFUSED = """
train --zoo {zoo} --method purrer|purrer
train --zoo {zoo} --method purer --preset grand|grand
train --zoo {zoo} --method purer --set nonsense=1|nonsense
train --zoo {zoo} --method purer --set way=1|way
train --zoo {zoo} --method purer --set way|way
train --zoo {zoo} --method purer --data {nowhere}|{nowhere}
train --zoo {zoo} --method purer --data sample:nothing|nothing
train --zoo {zoo} --method real-data|real-data
train --zoo {zoo} --method purer --set way=100 --data {few}|few/val
train --zoo {zoo} --method average --data {few}|few/test
train --zoo {zoo} --method purer --set way=100 --zoo {cut}|set way
train --zoo {cut} --method free --set way=50|set way
train --zoo {cut} --method tgr --set way=50|set way
train --zoo {cut} --method teapot --set way=50|set way
train --zoo {cut} --method bidf-mkd --set way=50|set way
train --zoo {cut} --method free --set way=50 --dry-run|set way
train --zoo {zoo} --method tgr --set embed_visits=9 --set visits=2|embed_visits
train --zoo {zoo} --method teapot --set recovered_per_class=2|recovered_per_class
train --zoo {zoo} --method bidf-mkd --set memory_visits=1 --set recovered_per_class=2 --set query_per_class=2|replay
train --zoo {zoo} --method distill --set recovered_per_class=2|recovered_per_class
train --zoo {zoo} --method distill --set recovered=fresh --set consensus=1|consensus
train --zoo {zoo} --method dro --set mode=online --set align=ota|mode=offline
train --zoo {zoo} --method dro --set architecture=fewshot_resnet10|fewshot_resnet10
train --zoo {zoo} --method ota --set reference=nobody|nobody
train --zoo {zoo} --method average --set head=average --set way=7|way
train --zoo {asked} --method average|weights
train --zoo {asked} --method free|queries
train --zoo {asked} --method best-teacher|accuracies
train --zoo {zoo} --method purer --device tpu|tpu
train --zoo {zoo} --method purer --seed -1|seed
train --zoo {zoo} --method purer --out {zoo}|{zoo}
train --zoo {nowhere} --method purer|{nowhere}
train --zoo {unreadable} --method purer|zoo.json
train --zoo ftp://somewhere --method purer|ftp
train --zoo {strange} --method purer|fewshot_conv5
train --out {nowhere} --resume|{nowhere}
train --nonsense|--nonsense
invert --zoo {zoo} --method pixel|pixel
invert --zoo {zoo} --set steps=0|steps
invert --zoo {zoo} --oracle-set q=0|q
invert --zoo {zoo} --per-class 0|per-class
invert --zoo {zoo} --teacher nobody|nobody
invert --zoo {cut} --teacher 1|cut off
invert --zoo {zoo} --against {nowhere}|{nowhere}
invert --zoo {zoo} --data {nowhere}|{nowhere}
evaluate --model {nowhere} --data sample:cifar-fs|{nowhere}
evaluate --model {model} --data sample:cifar-fs|cut off
evaluate --model {zoo}/t0 --data sample:cifar-fs|meta-model
evaluate --model {unreadable} --data sample:cifar-fs|dfml.json
evaluate --model {strange}/t0 --data sample:cifar-fs|fewshot_conv5
evaluate --model {model} --data sample:cifar-fs --calibrate icfill|icfill
evaluate --model {model} --data sample:cifar-fs --calibrate icfil --set steps=0|steps
evaluate --model {model} --data sample:cifar-fs --shots few|few
evaluate --model {model} --data sample:cifar-fs --lr 0|lr
evaluate --model {model} --data sample:cifar-fs --against {nowhere}|{nowhere}
evaluate --model {ensemble} --data {nowhere}|{nowhere}
evaluate --model {ensemble} --data sample:cifar-fs --split nothing|nothing
adapt --model {ensemble} --support {nowhere}|{nowhere}
adapt --model {ensemble} --support {nowhere} --device tpu|tpu
export --model {model} --out {zoo}|{zoo}
export --model {ensemble} --out {nowhere}|ensemble
export --model {whole} --out {nowhere} --format onnx|onnx
zoo show {nowhere}|{nowhere}
zoo check {unreadable}|zoo.json
zoo pretrain --data {nowhere} --out {nowhere}|{nowhere}
zoo pretrain --data {zoo} --out {nowhere} --arch fewshot_conv4:wide|wide
zoo pretrain --data {zoo} --out {nowhere} --arch resnet17|resnet18
zoo pretrain --data {zoo} --out {nowhere} --set lr=-1|lr
zoo pretrain --data {data} --out {nowhere}|data/train
zoo judge {nowhere} --data {zoo} --teacher 0|{nowhere}
zoo judge {zoo} --data {data} --teacher 0 --arch nonsense|nonsense
zoo judge {zoo} --data {data} --teacher 0|class 0
zoo pollute {zoo} --out {nowhere} --rate 2|rate
zoo pollute {zoo} --out {nowhere} --keep 101|101
zoo pollute {zoo} --out {nowhere} --source {zoo}|--source
zoo pollute {zoo} --out {cut}|{cut}
zoo merge {zoo} --out {nowhere}|merging
zoo serve {nowhere}|{nowhere}
zoo similarity {zoo} --set nonsense=1|nonsense
zoo prepare {nowhere} --method tgr|{nowhere}
zoo import {nowhere} --out {nowhere}-zoo|{nowhere}
runs show {nowhere}|{nowhere}
runs resume nothing|nothing
bench accuracy --nonsense|--nonsense
bench accuracy --data sample:cifar-fs --methods purer,purrer|purrer
bench accuracy --data sample:cifar-fs --methods purer --set way=1|way
bench accuracy --data sample:cifar-fs --set nonsense=1|nonsense
bench accuracy --data sample:cifar-fs --scenario nonsense|nonsense
bench accuracy --data sample:cifar-fs --protocol nonsense|nonsense
bench accuracy --data sample:cifar-fs --calibrate icfill|icfill
bench accuracy --data sample:cifar-fs --add-zoo {zoo}|--add-zoo
bench accuracy --data sample:cifar-fs --scenario polluted --attack nonsense|attack
bench accuracy --data sample:cifar-fs --scenario polluted --zoo {zoo} --clean 101 --work {work}|101
bench accuracy --data sample:cifar-fs --methods random --set nonsense=1|nonsense
bench accuracy --data sample:cifar-fs --methods random --work {work} --out {tables}|{tables}
bench accuracy --data {data} --split train --protocol dro|'val'
bench accuracy --data sample:cifar-fs --methods random --scenario polluted --work {nowhere} --out {tables}|{tables}
bench accuracy --data sample:cifar-fs --methods random --scenario MH --work {nowhere} --out {tables}|{tables}
bench accuracy --data {data} --split train --protocol dro --set nonsense=1|nonsense
bench accuracy --data {nowhere}|{nowhere}
bench heterogeneity --data sample:cifar-fs --zoo {nowhere}|{nowhere}
bench heterogeneity --data sample:cifar-fs --sets nonsense|nonsense
bench heterogeneity --data sample:cifar-fs --method purrer|purrer
bench heterogeneity --data sample:cifar-fs --set nonsense=1|nonsense
bench heterogeneity --data sample:cifar-fs --zoo {zoo} --teachers 101|101
bench heterogeneity --data sample:cifar-fs --out {tables}|{tables}
bench membership --data {nowhere}|{nowhere}
bench membership --data {data} --teachers 101|101
bench membership --data {data} --shadows 3|'shadows'
bench membership --data {data} --model {nowhere}|{nowhere}
bench membership --data {data} --model {ensemble}|ensemble
bench membership --data {data} --out {tables}|{tables}
bench weighing --data sample:cifar-fs --rates 0,40|0 %
bench weighing --data sample:cifar-fs --attack nonsense --work {work}|attack
bench weighing --data sample:cifar-fs --out {tables}|{tables}
bench curve --methods nonsense|nonsense
bench curve --methods pixels|pixels
bench curve --steps 0|--steps
bench curve --zoo {zoo} --teachers 101|101
bench curve --out {tables}|{tables}
bench weighing --data sample:cifar-fs --zoo {nowhere}|{nowhere}
bench weighing --data sample:cifar-fs --rates 0|rate
bench membership --data {nowhere}|{nowhere}
bench membership --data sample:cifar-fs|train
bench scenarios --data sample:cifar-fs --settings nonsense|nonsense
bench scenarios --data sample:cifar-fs --methods random,nonsense|nonsense
bench scenarios --data sample:cifar-fs --set nonsense=1|nonsense
bench scenarios --data sample:cifar-fs --out {tables}|{tables}
bench ablations --data sample:cifar-fs --zoo {nowhere}|{nowhere}
bench ablations --data sample:cifar-fs --methods nonsense|nonsense
bench ablations --data sample:cifar-fs --arms nonsense|nonsense
bench ablations --data sample:cifar-fs --set nonsense=1|nonsense
bench ablations --data sample:cifar-fs --out {tables}|{tables}
bench inversion --device tpu|tpu
bench inversion --methods nonsense|nonsense
bench inversion --transformers {nowhere}|{nowhere}
bench inversion --preset grand|grand
bench inversion --out {tables}|{tables}
bench inversion --zoo {zoo} --teachers 101|101
bench pollution --data sample:cifar-fs --variants nonsense|nonsense
bench pollution --data sample:cifar-fs --set watch=training|watch
bench pollution --data sample:cifar-fs --set nonsense=1|nonsense
bench pollution --data sample:cifar-fs --zoo {zoo}|validation
bench pollution --data sample:cifar-fs --attack nonsense|attack
bench pollution --data sample:cifar-fs --work {nowhere} --out {tables}|{tables}
bench lessons --only nonsense|nonsense
bench lessons --only leaks|--data
bench lessons --out {tables}|README.md
bench scale --sizes 2,100|--sizes
bench scale --sizes 100|--sizes
bench scale --only nonsense|nonsense
bench scale --zoo {nowhere}|{nowhere}
bench scale --out {tables}|{tables}
bench sinusoid --tasks 1|tasks
bench sinusoid --out {tables}|sinusoid.md
bench speed --nonsense|--nonsense
bench speed --only nonsense|nonsense
bench speed --peers {data}|--peers
bench speed --peers {nowhere}|{nowhere}
bench speed --out {tables}|{tables}
bench waiting --rounds 0|rounds
bench waiting --out {tables}|{tables}
bench waiting --zoo {nowhere}|{nowhere}
bench paired {nowhere} --against purer|{nowhere}
bench reproduce {nowhere} purer|nowhere
bench reproduce {tables}/accuracy-cifar-fs-conv4-demo.json purer|config
bench reproduce benchmarks/results/accuracy-cifar-fs-conv4-demo.json random --data sample:cifar-fs --device tpu|tpu
bench reproduce {foreign}/table.json random --data {foreign}/cifar-fs|--zoo
nonsense|nonsense
"""
COMPLETED = {
    "dfml tra": "train",
    "dfml train --metho": "--method",
    "dfml train --zoo cifar-fs-c": "cifar-fs-conv4",
    "dfml train --method pur": "purer",
    "dfml train --method tgr --set group_": "group_by=",
    "dfml invert --method pix": "pixels",
    "dfml invert --data sample:omni": "sample:omniglot",
    "dfml adapt --calibrate ic": "icfil",
    "dfml zoo show omniglot-conv": "omniglot-conv4",
    "dfml bench accuracy --scen": "--scenario",
    "dfml train --from 2026-fir": "2026-first",
    "dfml runs cite 2026-fir": "2026-first",
    "dfml zoo pollute omniglot-conv": "omniglot-conv4",
    "dfml zoo pollute cifar-fs-conv4 --source omniglot-conv": "omniglot-conv4",
    "dfml zoo merge cifar-fs-conv4 omniglot-conv": "omniglot-conv4",
    "dfml zoo prepare cifar-fs-conv4 --method dro,pur": "dro,purer",
    "dfml bench accuracy --methods dro,pur": "dro,purer",
    "dfml bench accuracy --calibrate ic": "icfil",
    "dfml bench accuracy --add-zoo omniglot-conv": "omniglot-conv4",
    "dfml bench heterogeneity --method pur": "purer",
    "dfml bench inversion --transformers cifar-fs-v": "cifar-fs-vit",
    "dfml bench reproduce table.json pur": "purer",
    "dfml bench reproduce table.json purer --zoo omniglot-conv": "omniglot-conv4",
    "dfml bench paired table.json --against pur": "purer",
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Folders made by hand: a zoo of a hundred teachers, one with a weight file that is cut off, damaged ones."""
    root = tmp_path_factory.mktemp("places")
    config = {
        "architecture": "fewshot_conv4", "num_classes": 5, "model_args": {"img_size": 32},
        "pretrained_cfg": {"input_size": [3, 32, 32], "mean": [0.5], "std": [0.5]},
    }  # fmt: skip

    def write(folder, card):
        folder.mkdir(parents=True)
        write_json(folder / "config.json", config)
        write_json(folder / "dfml.json", card)
        save_file({"fc.weight": np.zeros((5, 64), np.float32)}, folder / "model.safetensors")

    for name, count in (("zoo", TEACHERS), ("cut", 2), ("asked", 2)):
        for number in range(count):
            card = {"classes": [f"class {number + slot}" for slot in range(5)], "accuracy": 0.5}
            if name == "asked":
                card = {"classes": card["classes"], "access": "queries"}
            write(root / name / f"t{number}", card)
        models = [f"t{number}" for number in range(count)]
        write_json(root / name / "zoo.json", {"format": 1, "name": name, "models": models})
    adapting = {"learner": "maml", "learner_config": {}}
    write(root / "model", {"kind": "meta-model", **adapting})
    for weights in (root / "cut" / "t1" / "model.safetensors", root / "model" / "model.safetensors"):
        weights.write_bytes(weights.read_bytes()[:-8])
    write(root / "whole", {"kind": "meta-model", **adapting})
    write(root / "strange" / "t0", {"kind": "meta-model", **adapting})
    write_json(root / "strange" / "t0" / "config.json", {**config, "architecture": "fewshot_conv5"})
    write_json(root / "strange" / "zoo.json", {"format": 1, "name": "strange", "models": ["t0"]})
    for name in ("a", "b"):
        (root / "data" / "train" / name).mkdir(parents=True)
    told = {"command": "bench accuracy", "date": "", "machine": {}, "rows": [{"method": "purer", "seed": 3}]}
    write_json(root / "tables" / "accuracy-cifar-fs-conv4-demo.json", told)
    whole = read_json(REPOSITORY / "benchmarks" / "results" / "accuracy-cifar-fs-conv4-demo.json", "results")
    (root / "foreign" / "cifar-fs").mkdir(parents=True)
    write_json(root / "foreign" / "table.json", {**whole, "zoo": "http://127.0.0.1:1"})
    for name in (
        "sinusoid", "scale", "speed", "waiting", "inversion-cifar-fs-conv4-demo", "heterogeneity-cifar-fs-conv4-demo",
        "ablations-cifar-fs-conv4-published", "scenarios-published", "membership-cifar-fs-conv4",
        "weighing-cifar-fs-conv4-both", "curve-cifar-fs-conv4-demo",
        "pollution-cifar-fs-conv4-both-demo", "accuracy-polluted-cifar-fs-conv4-demo", "accuracy-mixed-domains-demo",
    ):  # fmt: skip
        (root / "tables" / f"{name}.md").write_text("mine")
    (root / "tables" / "README.md").write_text("mine")
    write(root / "ensemble", {"kind": "ensemble"})
    write(root / "seven", {"kind": "meta-model", **adapting})
    write_json(root / "seven" / "config.json", {**config, "num_classes": 7})
    for split, classes, images in (("val", 5, 20), ("test", 5, 3)):
        for number in range(classes):
            (root / "few" / split / f"c{number}").mkdir(parents=True)
            for image in range(images):
                (root / "few" / split / f"c{number}" / f"{image}.png").touch()
    write(root / "unreadable", {})
    for name in ("zoo.json", "dfml.json"):
        (root / "unreadable" / name).write_text('{"models": [')
    names = "zoo cut asked few model whole seven strange ensemble unreadable data tables foreign work nowhere".split()
    return {name: str(root / name) for name in names}


def called(cases, root):
    """What each of the (words, variables) gave, all in one process: code, out, err, and what heavy is loaded then."""
    done = subprocess.run(
        [sys.executable, "-c", CALL], input=json.dumps(cases), capture_output=True, text=True, cwd=REPOSITORY,
        env={**os.environ, "DFML_RUNS": str(root / "runs"), "DFML_LOCKS": str(root / "locks")}, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_arguments_and_headers_tell_is_refused_without_torch(places, tmp_path):
    lines = [line.format(**places).rpartition("|") for line in REFUSED.strip().splitlines()]
    found = called([(words.split(), {}) for words, _, _ in lines], tmp_path)
    for (words, _, named), (code, _, err, loaded) in zip(lines, found, strict=True):
        assert code in (1, 2) and named in err and "Traceback" not in err, (words, code, err)
        assert loaded == [], words
    assert not os.path.exists(places["nowhere"]) and not (tmp_path / "runs").exists()


def test_each_benchmark_refuses_something_here():
    known = get_command(app).commands["bench"].commands
    assert set(known) == {line.split()[1] for line in REFUSED.splitlines() if line.startswith("bench ")}


def test_zoos_are_listed_and_help_is_given_without_torch(places, tmp_path):
    asked = [
        "--help",
        "zoo list",
        "runs list",
        "runs cite pixels-000",
        "zoo show cifar-fs-mixed",
        f"zoo show {places['cut']} --json",
    ]
    asked += [f"train --method {name} --preset paper --help" for name in METHODS]
    asked += [f"invert --method {name} --help" for name in INVERTERS] + ["adapt --calibrate icfil --help"]
    asked += ["bench accuracy --help", "bench speed --help"]
    found = called([(words.split(), {}) for words in asked], tmp_path)
    assert [(code, loaded) for code, _, _, loaded in found] == [(0, [])] * len(asked), found
    shown = json.loads(found[5][1].splitlines()[-1])
    assert [teacher["id"] for teacher in shown["teachers"]] == ["t0"] and list(shown["problems"]) == ["t1"]


def test_a_shell_is_told_what_may_come_next_without_torch(tmp_path):
    asked = {
        words: {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1), "_DFML_COMPLETE": "complete_bash"}
        for words in COMPLETED
    }
    (tmp_path / "runs" / "2026-first").mkdir(parents=True)
    (tmp_path / "runs" / "2026-first" / "spec.json").write_text("{}")
    found = called([([], variables) for variables in asked.values()], tmp_path)
    for (words, wanted), (code, out, err, loaded) in zip(COMPLETED.items(), found, strict=True):
        assert (code, loaded) == (0, []) and wanted in out.split(), (words, out, err)


def seconds(*words):
    """CPU seconds of a Python that is called with these words, of two the shorter."""
    found = []
    for _ in range(2):
        before = os.times()
        subprocess.run([sys.executable, *words], cwd=REPOSITORY, capture_output=True, check=False)
        after = os.times()
        found.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return min(found)


@pytest.mark.skipif(os.name != "posix", reason="a system that does not count what its children took")
def test_a_hundred_teachers_are_shown_and_a_wrong_path_is_refused_at_once(places):
    bare = seconds("-c", "import typer, pydantic")
    for words in (("zoo", "list"), ("zoo", "show", places["zoo"]), ("train", "--zoo", "nowhere", "--method", "purer")):
        assert seconds("-m", "dfml", *words) < TIMES_A_BARE_START * bare, words
