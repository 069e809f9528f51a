"""What a run is cited by: the software as it was, and each paper of what it used once."""

import re

import pytest

from dfml.core.paths import write_json
from dfml.runs.folder import START, RunFolder
from dfml.runs.lab.citing import bibtex_of
from dfml.runs.spec import RunSpec

FIELDS = {"device": "cpu", "threads": 1, "zoo": "somewhere"}


def keys(run):
    return re.findall(r"^@\w+\{(.+),$", bibtex_of(run), re.M)


@pytest.mark.parametrize(
    ("spec", "cited"),
    [
        ({"kind": "train", "method": "purer", "config": {"learner": "protonet"}},
         ["hu2023purer", "yin2020deepinversion", "snell2017prototypical"]),
        ({"kind": "train", "method": "random", "config": {"learner": "maml"}}, ["finn2017maml"]),
        ({"kind": "invert", "method": "sparse"}, ["hu2024sparse"]),
        ({"kind": "train", "method": "somebody-elses", "config": {}}, []),
        ({"kind": "pretrain", "method": "fewshot_conv4"}, []),
    ],
)  # fmt: skip
def test_each_paper_is_cited_once_after_the_software(spec, cited):
    assert keys(RunFolder.create(RunSpec(**spec, **FIELDS))) == ["dfml-studio", *cited]


def test_version_and_commit_are_those_that_the_run_had():
    run = RunFolder.create(RunSpec(kind="train", method="random", **FIELDS))
    write_json(run.path / "spec.json", {**run.spec.model_dump(), "versions": {"dfml": "0.0.7"}, "git": "c" * 40})
    software = bibtex_of(RunFolder(run.path)).split("\n\n")[0]
    assert "{0.0.7}" in software and "c" * 40 in software


def test_the_methods_before_its_start_are_cited_too():
    run = RunFolder.create(RunSpec(kind="train", method="random", **FIELDS))
    write_json(run.path / "spec.json", {**run.spec.model_dump(), "start": "/gone/model"})
    (run.path / START).mkdir()
    write_json(run.path / START / "dfml.json", {"method": "dro", "start": {"methods": ["ota", "nobodys"]}})
    assert keys(RunFolder(run.path)) == ["dfml-studio", "wang2022dro", "singh2020fusion"]
    against = RunSpec(kind="invert", method="sparse", against=str(run.path / START), **FIELDS)
    assert keys(RunFolder.create(against)) == ["dfml-studio", "hu2024sparse", "wang2022dro", "singh2020fusion"]
    (run.path / START / "dfml.json").write_text('{"start": 3}')
    assert keys(RunFolder(run.path)) == ["dfml-studio"]
