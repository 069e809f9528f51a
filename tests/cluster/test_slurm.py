"""Workers as Slurm jobs: the script of the docs, with a stand-in for Slurm that starts each job at once, here."""

import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from dfml.cluster.certificates import write_certificates
from dfml.cluster.fan_out import WHOLE, in_processes
from dfml.core.paths import REPOSITORY

SBATCH = """#!/bin/sh
cp "$1" job.sh
setsid sh job.sh > job.log 2>&1 &
echo "Submitted batch job $!"
echo $! >> pids.txt
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Slurm is not there either")
def test_jobs_of_slurm_are_workers_with_a_gpu_and_certificates(tmp_path, monkeypatch):
    write_certificates(tmp_path / "certificates", days=1)
    for name, text in {"sbatch": SBATCH, "scancel": "#!/bin/sh\nkill -9 -- -$1\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    search = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    about = {"PATH": search, "PYTHONPATH": str(REPOSITORY), "DFML_CACHE": str(tmp_path / "node")}
    command = [sys.executable, str(REPOSITORY / "docs" / "slurm_cluster.py"), "--certificates", "certificates", "--gpu"]
    with (tmp_path / "said.txt").open("wb") as said:
        script = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, **about}, stdout=said, stderr=said)
    try:
        end = time.monotonic() + 90
        while not (told := (tmp_path / "said.txt").read_text()).startswith("DFML_CLUSTER="):
            assert script.poll() is None and time.monotonic() < end, told
            time.sleep(0.1)
        address, folder = (part.partition("=")[2] for part in told.split())
        assert address.startswith("tls://") and folder == str(tmp_path / "certificates")
        monkeypatch.setenv("DFML_CLUSTER_CERTIFICATES", folder)
        done = in_processes(abs, [-3, -4], jobs=address, what="counted", gpu=WHOLE)
        assert sorted(one for one in done if one is not None) == [3, 4]
        job = (tmp_path / "job.sh").read_text()
        assert "#SBATCH --gres=gpu:1" in job and "--nthreads 1" in job and "--tls-key" in job
    finally:
        script.send_signal(signal.SIGINT)
        script.wait(60)
        for pid in (tmp_path / "pids.txt").read_text().split():
            subprocess.run(["kill", "-9", "--", f"-{pid}"], check=False, capture_output=True)


def test_the_manifest_names_our_commands_and_listens_where_it_is_told():
    manifest = yaml.safe_load((REPOSITORY / "docs" / "kubernetes-cluster.yaml").read_text())
    scheduler, worker = (manifest["spec"][part]["spec"]["containers"][0] for part in ("scheduler", "worker"))
    from typer.main import get_command

    from dfml.cli.clustering import app

    for container in (scheduler, worker):
        assert container["command"][:4] == ["python", "-m", "dfml", "cluster"]
        name, *words = container["command"][4:]
        known = {option for one in get_command(app).commands[name].params for option in one.opts}
        assert {word for word in words if word.startswith("--")} <= known
    port = manifest["spec"]["scheduler"]["service"]["ports"][0]["port"]
    assert f"tcp://{manifest['metadata']['name']}-scheduler:{port}" in worker["command"]
