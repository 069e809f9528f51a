"""The notebooks run from their first to their last cell, and carry no output of the machine that wrote them."""

import ast
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
SMALL = {
    "invert_a_teacher": {"PER_CLASS": 2, "STEPS": 4},
    "train_and_adapt": {
        "OPTIONS": {"iterations": 3, "width": 4, "tasks": 1, "query": 2, "warm_start": 1, "validation_episodes": 2,
                    "validate_every": 2, "test_steps": 1},
        "EPISODES": 2,
    },
}  # fmt: skip
"""Instead of what each notebook's cell tagged ``parameters`` sets."""
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def _named(path):
    return path.stem


def _parameters(notebook):
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    return cell


def test_each_notebook_has_small_settings():
    assert {path.stem for path in NOTEBOOKS} == set(SMALL)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=_named)
def test_a_notebook_is_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or (not cell.outputs and cell.execution_count is None)
    set_here = {node.targets[0].id for node in ast.parse(_parameters(notebook).source).body}
    assert set(SMALL[path.stem]) <= set_here


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=_named)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    for name in ("DFML_RUNS", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    notebook = nbformat.read(path, as_version=4)
    cell = _parameters(notebook)
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in SMALL[path.stem].items())
    # Where a cell fails, its error is raised with the cell's text.
    resources = {"metadata": {"path": str(tmp_path)}}
    done = NotebookClient(notebook, timeout=200, kernel_name="python3", resources=resources).execute()
    shown = [kind for cell in done.cells for output in cell.get("outputs", ()) for kind in output.get("data", ())]
    assert "image/png" in shown and "application/vnd.plotly.v1+json" in shown
