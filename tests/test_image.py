"""What the container starts, without a container: its own script, on what `.dockerignore` lets into the image."""

import ast
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from dfml.core.paths import REPOSITORY
from tests.viewers import Viewer, watch_together

LET_IN = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the image is one of Linux")


def image(root):
    """A copy of what goes into the image."""
    for pattern in LET_IN:
        for source in REPOSITORY.glob(pattern):
            target = root / source.relative_to(REPOSITORY)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
    return root


def another_user():
    """What makes a command run as user 1000, who may not override what modes forbid; nothing where that fails."""
    words = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if (
        shutil.which("unshare")
        and not subprocess.run([*words, sys.executable, "-c", ""], capture_output=True).returncode
    ):
        return words
    if os.getuid() == 0:
        pytest.skip("this user may write everything, and no other one can be made here")
    return []


@pytest.fixture
def place():
    """A folder that everybody can look into."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
        subprocess.run(["chmod", "-R", "u+w", folder], check=False)


@pytest.mark.timeout(240)
def test_the_images_own_script_starts_the_app_for_a_stranger_with_an_empty_home(place):
    code, home = image(place / "app"), place / "home"
    home.mkdir()
    user = another_user()
    subprocess.run(["chmod", "-R", "a-w,a+rX", str(code)], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    paths = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(home), "DFML_STATE": "/proc/nowhere"}
    variables = {**paths, "PORT": port, "ADDRESS": "127.0.0.1"}
    assert subprocess.run([*user, "touch", str(code / "app.py.new")], capture_output=True).returncode, "read-only"
    before = {path: path.stat().st_mtime_ns for path in code.rglob("*")}
    with open(place / "log", "w+") as log:
        about = {"cwd": "/", "stdout": log, "stderr": subprocess.STDOUT, "start_new_session": True}
        server = subprocess.Popen([*user, "sh", str(code / "docker" / "start.sh")], env=variables, **about)
        try:
            healthy, end = False, time.monotonic() + 120
            while not healthy and server.poll() is None and time.monotonic() < end:
                check = [sys.executable, str(code / "docker" / "healthy.py")]
                healthy = subprocess.run(check, env=variables, capture_output=True).returncode == 0
                time.sleep(0.2)
            log.seek(0)
            assert healthy, log.read()
            viewer = Viewer(f"http://127.0.0.1:{port}")
            watch_together([viewer], 60, until=lambda: viewer.answered)
        finally:
            server.kill()
            server.wait()
        log.seek(0)
        said = log.read()
    assert "/proc/nowhere cannot be written" in said and "Traceback" not in said, said
    assert viewer.answered and not viewer.exceptions
    assert before == {path: path.stat().st_mtime_ns for path in code.rglob("*")}, "nothing is written into the code"


def test_the_image_has_all_that_an_installation_has():
    tree = ast.parse((REPOSITORY / "setup.py").read_text(encoding="utf-8"))
    (said,) = (one.value for one in tree.body if isinstance(one, ast.Assign) and one.targets[0].id == "STUDIO")
    studio = ast.literal_eval(said)
    let_in = [path for pattern in LET_IN for path in REPOSITORY.glob(pattern)]
    for needed in studio:
        path = REPOSITORY / needed
        assert any(path == one or one in path.parents for one in let_in), f"{needed} stays outside the image"


def test_the_image_runs_as_a_user_without_rights_and_says_how_it_is():
    lines = (REPOSITORY / "Dockerfile").read_text().splitlines()
    orders = [line.split(maxsplit=1) for line in lines if line and line[0].isupper()]
    named = {order: words for order, words in orders}
    assert named["USER"] == "dfml" and "docker/healthy.py" in named["HEALTHCHECK"]
    assert "docker/start.sh" in named["ENTRYPOINT"]
    last_copy = max(i for i, (order, _) in enumerate(orders) if order == "COPY")
    assert last_copy < [order for order, _ in orders].index("USER"), "the code is root's"
