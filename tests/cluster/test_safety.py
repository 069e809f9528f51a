"""Who may reach a cluster: loopback alone, or whoever shows a certificate."""

import os
import stat

import psutil
import pytest

from dfml.cluster.certificates import write_certificates
from dfml.cluster.connecting import CERTIFICATES, INSECURE, asked_for, check_address
from dfml.cluster.fan_out import in_processes
from dfml.cluster.parcels import Parcel, pack_folder, pack_value, place_of, receive
from dfml.cluster.starting import check_host
from dfml.core.errors import BadInput, RunFailed


def listening(command):
    """Addresses on which a command and what it started listen."""
    return {
        connection.laddr.ip
        for process in command.family()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


@pytest.mark.slow
def test_everything_listens_on_loopback_only(whole_cluster):
    for command in (whole_cluster.scheduler, *whole_cluster.workers):
        assert listening(command) == {"127.0.0.1"}
    served = [c for c in psutil.Process(whole_cluster.scheduler.process.pid).net_connections() if c.status == "LISTEN"]
    assert 8787 not in {connection.laddr.port for connection in served}, "no dashboard"


WRONG = ("localhost:8786", "tcp://host", "http://127.0.0.1:1", "tcp://127.0.0.1:99999", "tcp://u@127.0.0.1:1")
"""Without a scheme, without a port, of another scheme, with a port that none is, with a user."""


@pytest.mark.parametrize("text", [*WRONG, "tcp://[::1", "x" * 999], ids=lambda text: text[:20])
def test_what_is_no_address_is_refused(text, monkeypatch):
    monkeypatch.setenv("DFML_CLUSTER", text)
    with pytest.raises(BadInput) as refused:
        asked_for("")
    assert len(str(refused.value)) < 400


def test_beyond_this_machine_certificates_or_a_word_are_needed(monkeypatch, tmp_path):
    monkeypatch.delenv(INSECURE, raising=False)
    monkeypatch.delenv(CERTIFICATES, raising=False)
    for address in ("tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1"):
        check_address(address)
    with pytest.raises(BadInput, match="certificates"):
        check_address("tcp://192.0.2.1:8786")
    for host in ("0.0.0.0", "192.0.2.1", "example.org"):
        with pytest.raises(BadInput, match="--insecure"):
            check_host(host, None, insecure=False)
    assert check_host("0.0.0.0", tmp_path, insecure=False) == "tls"
    assert check_host("0.0.0.0", None, insecure=True) == "tcp"
    monkeypatch.setenv(INSECURE, "1")
    check_address("tcp://192.0.2.1:8786")


@pytest.mark.slow
def test_with_certificates_only_who_has_them_gets_in(make_cluster, tmp_path, monkeypatch):
    ours, others = tmp_path / "ours", tmp_path / "others"
    for folder in (ours, others):
        write_certificates(folder)
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in ours.iterdir())
    with pytest.raises(BadInput, match="files that are no certificates"):
        write_certificates(ours)
    cluster = make_cluster("--certificates", ours)
    worker = cluster.worker("one", "--certificates", ours)
    worker.wait_for("workers: ")
    assert cluster.address.startswith("tls://127.0.0.1:")
    for folder in (None, others):
        monkeypatch.setenv(CERTIFICATES, str(folder or ""))
        with pytest.raises(BadInput if folder is None else RunFailed):
            next(in_processes(abs, [1], jobs=cluster.address, what="counted"))
    monkeypatch.setenv(CERTIFICATES, str(ours))
    assert [r for r in in_processes(abs, [-1], jobs=cluster.address, what="counted") if r is not None] == [1]


def test_a_parcel_is_what_it_is_called_or_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"content")
    (tmp_path / "a" / ".hidden").write_bytes(b"not sent")
    parcel = pack_folder(tmp_path / "a")
    assert [*parcel.files] == ["file"] and parcel.digest != pack_value(b"content").digest
    with pytest.raises(RunFailed, match="damaged"):
        receive(parcel.digest, {"file": b"other"}, dict(parcel.sums))
    assert not place_of(parcel.digest).exists()
    climbing = Parcel({"../up": b"x"}, {"../up": pack_value(b"x").sums["value"]}, "0" * 64)
    with pytest.raises(BadInput, match="leads out"):
        receive(climbing.digest, {"../up": b"x"}, dict(climbing.sums))
    for part in parcel.pieces():
        receive(parcel.digest, part, dict(parcel.sums))
    assert pack_folder(place_of(parcel.digest)).digest == parcel.digest
    if os.name == "posix":
        assert not list((tmp_path / "cache" / "cluster").glob("up*"))


def test_without_dask_one_line_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BadInput, match="requirements-cluster.txt"):
        next(in_processes(abs, [1], jobs="tcp://127.0.0.1:1", what="counted"))
