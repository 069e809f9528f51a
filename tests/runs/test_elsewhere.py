"""Where runs are kept, the folder that is named once, and processes that start anywhere."""

import os
import subprocess
import sys

import pytest

from dfml.core import paths
from dfml.runs import elsewhere, processes


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A checkout and a user's data folder, both without runs; the current folder is another one."""
    home, top = tmp_path / "home", tmp_path / "top"
    for folder in (home, top, tmp_path / "here"):
        folder.mkdir()
    monkeypatch.delenv("DFML_RUNS")
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    monkeypatch.setattr(paths, "REPOSITORY", top)
    monkeypatch.chdir(tmp_path / "here")
    return top / "runs", paths.user_runs()


def make_run(root):
    (root / "a-run").mkdir(parents=True)
    (root / "a-run" / "spec.json").write_text("{}")


def test_a_checkout_names_the_runs_of_an_installation_once(folders):
    own, other = folders
    assert paths.runs_root() == own and elsewhere.other_runs() is None
    make_run(other)
    assert elsewhere.other_runs() == other and str(other) in elsewhere.told(other)
    assert elsewhere.other_runs() is None and not (own.parent / "here").exists()


def test_an_installation_names_the_runs_of_the_checkout_that_it_is_started_in_once(folders, monkeypatch):
    monkeypatch.setattr(paths, "INSTALLED", True)
    monkeypatch.setattr(elsewhere, "INSTALLED", True)
    _, own = folders
    assert paths.runs_root() == own and elsewhere.other_runs() is None
    make_run(paths.Path("runs"))
    assert elsewhere.other_runs() == paths.Path("runs").absolute()
    assert elsewhere.other_runs() is None


def test_who_has_said_where_runs_are_is_told_nothing(folders, monkeypatch, tmp_path):
    make_run(folders[1])
    monkeypatch.setenv("DFML_RUNS", str(tmp_path / "mine"))
    assert elsewhere.other_runs() is None


@pytest.mark.parametrize("mine", ["", ".", f".{os.pathsep}"])
def test_a_process_takes_no_file_of_its_folder_for_a_module(tmp_path, monkeypatch, mine):
    (tmp_path / "json.py").write_text("raise ImportError('a file of this folder')")
    monkeypatch.setenv("PYTHONPATH", mine)
    code = "import json, dfml, os; print(dfml.__file__)"
    process = processes.start([sys.executable, "-c", code], {}, cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.communicate()[0].decode().strip() == str(paths.PACKAGE / "__init__.py")


def test_an_installed_package_is_not_put_before_the_standard_library(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", "mine")
    assert processes.search_path().split(os.pathsep) == [str(paths.REPOSITORY), os.path.abspath("mine")]
    monkeypatch.setattr(processes.site, "getsitepackages", lambda: [str(paths.REPOSITORY)])
    assert processes.search_path() == os.path.abspath("mine")
