"""The wheel is whole: built from the sdist, installed where names are hard, not writable, used from another folder."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
import venv
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

from dfml import __version__
from dfml.core.paths import REPOSITORY
from dfml.core.system import SYSTEM
from dfml.ui.widgets import navigation

SOURCES = (
    "dfml", "pages", "assets", ".streamlit", "benchmarks", "app.py", "setup.py", "pyproject.toml", "MANIFEST.in",
    "README.md", "LICENSE", "CITATION.cff", *(path.name for path in REPOSITORY.glob("requirements*.txt")),
)  # fmt: skip
BUILD = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
NO_INDEX = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
SMALL = (
    "width=4 iterations=2 tasks=1 query=2 inner_steps=1 warm_start=1 candidates=1 validation_episodes=2 test_steps=1"
)
# Every command in one process, for most of the time goes into loading torch; then each page of the app, while a worker
# does a run in the background.
PATH = f"""
import json, time
from importlib.metadata import metadata
from dfml.cli import main
from dfml.core.paths import STUDIO, runs_root
from dfml.core.remedies import install, make_server_environment
from dfml.inversion import INVERTERS
from dfml.runs import launcher
from dfml.runs.jobs import train
from dfml.runs.spec import RunSpec

def call(*words):
    try:
        main(list(words))
    except SystemExit as end:
        assert not end.code, words

def sets(text):
    return [word for pair in text.split() for word in ("--set", pair)]

train.TEST_EPISODES = 1
zoo = ["--zoo", "cifar-fs-conv4", "--device", "cpu"]
call("zoo", "list", "--json")
call("invert", *zoo, "--per-class", "1", *sets("steps=2"))
call("train", *zoo, "--method", "purer", *sets({SMALL!r}))
model = next(run / "model" for run in runs_root().iterdir() if (run / "model").is_dir())
call("evaluate", "--model", str(model), "--data", "sample:cifar-fs", "--episodes", "1", "--shots", "1", "--json")

few = INVERTERS.get("pixels").preset("demo").override(["steps=2"]).model_dump(mode="json")
asked = dict(kind="invert", method="pixels", zoo="cifar-fs-conv4", teachers=["000"], device="cpu", per_class=1)
started = launcher.start(RunSpec(**asked, config=few))

from streamlit.testing.v1 import AppTest
from dfml.ui.widgets import navigation, sidebar
answer = dict(devices=["cpu"], auto="cpu", reason="", threads=1)
sidebar._QUESTION = f"print('{{json.dumps(answer)}}')"  # without loading torch once more
titles = []
for page in navigation.PAGES:
    app = AppTest.from_file(str(STUDIO / "app.py"), default_timeout=60).run()
    if page is not navigation.HOME:
        app.switch_page(page.file).run()
    assert not app.exception, app.exception[0].message
    titles.append(app.title[0].value)
while started.status().active:
    time.sleep(0.1)
assert started.status().state == "finished", started.status()
assert (STUDIO / "requirements-server.txt").is_file() and str(STUDIO) in make_server_environment()
for extra in ("onnx", "remote", "tensorboard", "cluster"):
    assert f"dfml-studio[{{extra}}]" in install(extra) and extra in metadata("dfml-studio").get_all("Provides-Extra")
print(json.dumps({{"titles": titles, "runs": str(runs_root()), "studio": str(STUDIO)}}))
"""


def run(*command, **places):
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, encoding="utf-8", timeout=200, check=False, **places
    )
    assert not done.returncode, f"{command[:3]}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, made of the sdist, made of a copy of the sources."""
    work = tmp_path_factory.mktemp("build")
    for name in SOURCES:
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, work / "top" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(REPOSITORY / name, work / "top" / name)
    run(sys.executable, "-c", BUILD, work, cwd=work / "top")
    (sdist,) = work.glob("*.tar.gz")
    run(sys.executable, "-m", "pip", "wheel", *NO_INDEX, "--no-build-isolation", "-w", work, sdist, cwd=work)
    (found,) = work.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """Python of an environment that sees what is installed here, and has the wheel; nobody may write there."""
    top = tmp_path_factory.mktemp("für Schüler 猫") / "venv"
    venv.create(top, with_pip=False, symlinks=os.name != "nt")
    found = SYSTEM.python_of(top)
    own = Path(run(found, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
    seen = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (own / "seen.pth").write_text("".join(f"import site; site.addsitedir({place!r})\n" for place in seen))
    run(sys.executable, "-m", "pip", "--python", found, "install", *NO_INDEX, wheel)
    package = own / "dfml"
    folders = [package, *(path for path in package.rglob("*") if path.is_dir())]
    before = contents(package)
    for folder in folders:
        folder.chmod(0o555)
    yield found
    for folder in folders:
        folder.chmod(0o755)
    # Whoever is root may write all the same.
    assert contents(package) == before, "something was written into the installation"


def contents(package):
    found = {path: path.stat() for path in package.rglob("*")}
    return {path: (facts.st_size, facts.st_mtime_ns) for path, facts in found.items()}


@pytest.fixture
def places(tmp_path):
    """Another folder, with files named like modules, and the variables of a person whose home is new."""
    here, home = tmp_path / "ein Ort 猫", tmp_path / "home"
    for folder in (here, home):
        folder.mkdir()
    for name in ("json", "random", "torch", "numpy", "joblib", "dfml"):
        (here / f"{name}.py").write_text("raise ImportError('a local file was taken for a module')\n")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DFML_", "PYTHON", "XDG_"))}
    own = {"HOME": str(home), "DFML_LOCKS": str(tmp_path / "locks"), "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    return {"cwd": here, "env": {**kept, **own}}


@pytest.mark.slow
def test_the_wheel_holds_every_file_that_the_program_reads(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for room, place in (("dfml", ""), ("pages", "dfml/studio/"), ("assets", "dfml/studio/")):
        there = [path for path in (REPOSITORY / room).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        missing = {place + path.relative_to(REPOSITORY).as_posix() for path in there} - names
        assert len(there) > 5 and not missing
    assert {"dfml/studio/app.py", "dfml/studio/.streamlit/config.toml", "dfml/py.typed"} <= names
    assert not [name for name in names if not name.startswith(("dfml/", "dfml_studio-"))]


def test_a_module_that_is_gone_is_not_built_again(tmp_path):
    shutil.copy2(REPOSITORY / "setup.py", tmp_path)
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\n[tool.setuptools]\npackages = ["dfml"]'
    )
    built = tmp_path / "build" / "lib" / "dfml"
    for folder in (tmp_path / "dfml", tmp_path / "pages", built):
        folder.mkdir(parents=True)
        (folder / "there.py").touch()
    (built / "gone.py").touch()
    run(sys.executable, "setup.py", "-q", "build_py", cwd=tmp_path)
    found = {path.relative_to(built).as_posix() for path in built.rglob("*.py")}
    assert found == {"there.py", "studio/pages/there.py"}


@pytest.mark.slow
def test_the_whole_way_goes_from_another_folder(python, places):
    command = python.with_name("dfml")
    assert run(command, "--version", **places).stdout.split()[-1] == __version__
    done = run(python, "-P", "-c", PATH, **places)
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(set(found["titles"])) == len(navigation.PAGES)
    assert Path(found["studio"]).is_relative_to(python.parents[1].resolve())
    runs = Path(found["runs"])
    assert len(list(runs.glob("*/result.json"))) == 3
    assert os.name == "nt" or runs.is_relative_to(places["env"]["HOME"])
    assert sorted(path.suffix for path in places["cwd"].iterdir()) == [".py"] * 6, "nothing is written beside"
    shutil.copytree(next(runs.iterdir()), places["cwd"] / "runs" / "older")
    told = [run(command, "runs", "list", **places) for _ in range(2)]
    assert [str(places["cwd"] / "runs") in done.stderr for done in told] == [True, False]
    assert all(run.name in told[0].stdout for run in runs.glob("*-*"))
    assert "Usage: dfml" in run(command, "--help", **places).stdout


def test_a_server_that_does_not_answer_is_told(monkeypatch, capsys):
    module = import_module("dfml.cli.start_app")
    monkeypatch.setattr(module, "START_SECONDS", 0.0)
    module._tell("http://127.0.0.1:9", browser=True, as_json=True)
    told = capsys.readouterr()
    assert not told.out and "http://127.0.0.1:9" in told.err and told.err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the browser is a script of the shell")
def test_the_app_starts_from_another_folder_and_opens_the_browser(python, places, tmp_path):
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(f"#!/bin/sh\necho \"$1\" >> '{seen}'\n")
    browser.chmod(0o755)
    (places["cwd"] / ".streamlit").mkdir()  # another app's settings
    (places["cwd"] / ".streamlit" / "config.toml").write_text('[server]\nbaseUrlPath = "elsewhere"\nport = 1\n')
    command, variables = [python.with_name("dfml"), "app", "--json"], {**places["env"], "BROWSER": str(browser)}
    with subprocess.Popen(command, cwd=places["cwd"], env=variables, stdout=subprocess.PIPE, text=True) as app:
        try:
            address = json.loads(app.stdout.readline())["address"]
            assert address.startswith("http://127.0.0.1:")
            port = address.rpartition(":")[2]
            refused = subprocess.run([*command, "--port", port], **places, capture_output=True, text=True, check=False)
            assert refused.returncode == 2 and port in refused.stderr and refused.stderr.count("\n") == 1
            for place in ("", "/zoo", "/inversion", "/training", "/adaptation"):
                with urllib.request.urlopen(address + place, timeout=20) as page:
                    assert page.status == 200 and b"<html" in page.read()
        finally:
            app.terminate()
    assert app.returncode == 0
    assert seen.read_text().splitlines() == [address]
