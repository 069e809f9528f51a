import json
import os
import subprocess
import sys

import pytest

from dfml.core.paths import REPOSITORY
from dfml.core.process import at_most_as_wanted, wait_briefly

STEERING = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY", "OMP_WAIT_POLICY")

# What the process has set when it first asks for torch, or for a library with an OpenMP copy of its own.
LOOK = """
import json, os, runpy, sys
class Look:
    def find_spec(name, path=None, target=None):
        if name in ("torch", "sklearn", "ot"):
            print("FOUND", json.dumps(dict(os.environ)), file=sys.__stdout__, flush=True)
            os._exit(0)
sys.meta_path.insert(0, Look)
kind, name, *sys.argv[1:] = json.loads(sys.argv[1])
if kind == "module":
    runpy.run_module(name, run_name="__main__", alter_sys=True)
else:
    runpy.run_path(name, run_name="__main__")
    import torch
"""


@pytest.mark.parametrize(
    ("wanted", "cores", "taken"), [("1", 8, 1), ("16", 8, 8), ("", 8, 8), ("0", 8, 8), ("many", 8, 8), ("2", 0, 1)]
)
def test_the_environment_lowers_the_number_of_threads_and_never_raises_it(wanted, cores, taken, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert at_most_as_wanted(cores) == taken


def _bare(**more):
    kept = {k: v for k, v in os.environ.items() if k not in STEERING}
    return {**kept, "PYTHONPATH": str(REPOSITORY), **more}


def _entry(name, tmp_path, tiny_zoo_folder):
    from dfml.runs.folder import RunFolder
    from dfml.runs.spec import RunSpec

    if name == "worker":
        spec = RunSpec(kind="train", method="random", zoo=str(tiny_zoo_folder))
        return ["module", "dfml.runs.worker", str(RunFolder.create(spec, path=tmp_path / "run").path)]
    if name == "app":
        return ["path", str(REPOSITORY / "app.py")]
    if name == "page":
        return ["path", str(REPOSITORY / "pages" / "adaptation.py")]
    return ["module", "dfml", "zoo", "check", str(tiny_zoo_folder)]


@pytest.mark.parametrize("name", ["command line", "worker", "app", "page"])
@pytest.mark.parametrize("given", [{}, {"KMP_BLOCKTIME": "88", "OMP_NUM_THREADS": "3"}])
def test_each_process_sets_how_threads_wait_before_torch_loads(name, given, tmp_path, tiny_zoo_folder):
    (tmp_path / "in").write_text("{}\n")
    with (tmp_path / "in").open() as stdin:
        done = subprocess.run(
            [sys.executable, "-c", LOOK, json.dumps(_entry(name, tmp_path, tiny_zoo_folder))],
            stdin=stdin, capture_output=True, text=True, cwd=REPOSITORY, env=_bare(**given), timeout=120,
        )  # fmt: skip
    found = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    assert found, done.stderr[-2000:]
    seen = json.loads(found[0].removeprefix("FOUND "))
    assert 0 < int(seen["KMP_BLOCKTIME"]) < 200
    assert all(seen[variable] == value for variable, value in given.items())
    assert seen.get("OMP_NUM_THREADS") == given.get("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS"))


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ({}, {"KMP_BLOCKTIME"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, set()),
        ({"GOMP_SPINCOUNT": "5"}, {"KMP_BLOCKTIME"}),
        ({"KMP_LIBRARY": "turnaround"}, set()),
        ({"KMP_BLOCKTIME": "0"}, set()),
    ],
)
def test_what_a_user_has_set_for_a_library_stays(given, added):
    environment = dict(given)
    wait_briefly(environment)
    assert set(environment) == set(given) | added and given.items() <= environment.items()
