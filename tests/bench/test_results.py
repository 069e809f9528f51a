"""The committed results: what they say of themselves, and that the README quotes them truly."""

import json
import re

import pytest

from dfml.bench.summary import accuracy_table, summarise
from dfml.core.paths import REPOSITORY

RESULTS = REPOSITORY / "benchmarks" / "results"


def rows(name):
    return json.loads((RESULTS / name).read_text())["rows"]


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda p: p.name)
def test_each_result_names_its_command_and_machine_and_no_private_path(path):
    result = json.loads(path.read_text())
    assert result["command"].startswith("python -m dfml bench ")
    assert result["machine"]["torch"] and result["machine"]["cores"] and result["date"]
    assert not re.search(r'"/(work|root|home|tmp)/', path.read_text())
    assert result["command"] in path.with_suffix(".md").read_text()


def test_purer_is_five_points_above_random_with_intervals_apart():
    found = {
        r["method"]: r
        for r in rows("accuracy-cifar-fs-conv4-demo.json")
        if (r["shots"], r["bn"], r["adapt"]) == (5, "transductive", "steps")
    }
    purer, random = found["purer"], found["random"]
    assert purer["episodes"] == random["episodes"] == 600
    assert purer["accuracy"] - random["accuracy"] >= 0.05
    assert purer["accuracy"] - purer["ci95"] > random["accuracy"] + random["ci95"]
    assert (purer["inner_lr"], purer["adapt_steps"]) == (random["inner_lr"], random["adapt_steps"])
    assert purer["seconds"] <= 480 and purer["adversarial_steps"] >= 3


def test_the_table_and_its_means_are_those_of_the_rows():
    path = RESULTS / "accuracy-cifar-fs-conv4-demo.json"
    stored = json.loads(path.read_text())
    assert stored["summary"] == summarise(stored["rows"]) and not stored["missing"]
    assert accuracy_table(stored["summary"]) in path.with_suffix(".md").read_text()


def test_commands_stay_near_the_bare_passes_that_they_need():
    invert, evaluate = rows("speed.json")
    assert invert["ratio"] <= 2.5 and evaluate["ratio"] <= 1.4


def test_the_readme_quotes_the_results_truly():
    readme = (REPOSITORY / "README.md").read_text()
    for row in rows("accuracy-cifar-fs-conv4-demo.json"):
        if (row["shots"], row["bn"]) == (5, "transductive"):
            assert f"{100 * row['accuracy']:.2f} ± {100 * row['ci95']:.2f}" in readme
