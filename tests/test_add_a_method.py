"""What the page on adding a method says, done in a copy of the repository."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from dfml.core.paths import REPOSITORY

PAGE = (REPOSITORY / "docs" / "add-a-method.md").read_text(encoding="utf-8")
FILES = re.findall(r"^## \d\. [^`\n]*`([^`]+)`\n\n(?:```|~~~)\w+\n(.*?)^(?:```|~~~)$\n\n(?=[A-Z])", PAGE, re.M | re.S)
COPIED = ("dfml", "docs", "tests")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the repository in which the three files of the page are added."""
    root = tmp_path_factory.mktemp("checkout")
    for name in COPIED:
        shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in REPOSITORY.iterdir():
        if path.name not in COPIED and path.name != ".git":
            (root / path.name).symlink_to(path)
    before = {path for path in root.rglob("*") if path.is_file()}
    for name, text in FILES:
        assert (root / name).parent.is_dir() and root / name not in before
        (root / name).write_text(text, encoding="utf-8")
    return root


def within(checkout, *words):
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=checkout, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)  # it runs tests of its own, each of which has the usual time
def test_three_files_are_all_that_a_method_needs(checkout):
    assert [name for name, _ in FILES] == [
        "dfml/methods/running_mean.py",
        "docs/methods/running-mean.md",
        "tests/methods/test_running_mean.py",
    ]
    written = json.loads(within(checkout, "dfml", "docs", "--json").splitlines()[-1])["written"]
    assert set(written) == {"docs/methods.md", "docs/methods/running-mean.md"}
    assert "`visits`" in (checkout / "docs" / "methods" / "running-mean.md").read_text(encoding="utf-8")
    assert "| [running-mean](methods/running-mean.md) | baseline |" in (checkout / "docs" / "methods.md").read_text()
    # Its own test, the contract of all methods, and whatever looks at the pages, the rooms and the committed results.
    files = {
        "tests/methods/test_running_mean.py": "",
        "tests/test_architecture.py": "",
        "tests/bench/test_results.py": "",
        "tests/methods/test_contract.py": "running-mean",
        "tests/training/test_taking_part.py": "running-mean",
        "tests/test_readme.py": "(generated or its_page or somewhere or prose)",
    }
    named = {Path(file).name: words for file, words in files.items()}
    chosen = " or ".join(f"({name} and {words})" if words else name for name, words in named.items())
    told = within(checkout, "pytest", "-n", "0", "-rA", "-p", "no:cacheprovider", *files, "-k", chosen)
    passed = Counter(re.findall(r"^PASSED ([\w/.]+)::", told, re.M))
    assert passed.keys() == files.keys()
    assert passed["tests/methods/test_contract.py"] >= 11 and passed["tests/test_readme.py"] >= 20


@pytest.mark.slow
def test_it_trains_from_the_command_line(checkout, tiny_zoo_folder, tmp_path):
    told = within(
        checkout, "dfml", "train", "--zoo", str(tiny_zoo_folder), "--method", "running-mean", "--set", "visits=5",
        "--set", "width=8", "--out", str(tmp_path / "run"), "--device", "cpu", "--json",
    )  # fmt: skip
    assert json.loads(told.splitlines()[-1])["method"] == "running-mean"
