"""The way to a cluster: its address, who may listen where, and whether its nodes run the same program."""

from __future__ import annotations

import importlib.metadata
import ipaddress
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dfml import __version__
from dfml.core.errors import BadInput, RunFailed, shown
from dfml.core.paths import given_path
from dfml.core.remedies import PROGRAM, install

if TYPE_CHECKING:
    from distributed import Client, Security

ADDRESS, CERTIFICATES, INSECURE = "DFML_CLUSTER", "DFML_CLUSTER_CERTIFICATES", "DFML_CLUSTER_INSECURE"
"""Variables: the scheduler, the folder that ``cluster certificates`` wrote, and 1 where none are wanted."""
AUTHORITY, CERTIFICATE, KEY = "authority.pem", "certificate.pem", "key.pem"
CONNECT_SECONDS = 10


def asked_for(address: str | None) -> str:
    """Return the cluster's address: as given, else ``$DFML_CLUSTER``; "" for this machine alone.

    ``BadInput``: it is no address, or one beyond this machine without encryption.
    """
    address = (address or os.environ.get(ADDRESS, "")).strip()
    if address:
        check_address(address)
    return address


def check_address(address: str) -> None:
    """See that an address is ``tcp://HOST:PORT`` or ``tls://HOST:PORT``, and safe; else ``BadInput``."""
    try:
        parts = urlsplit(address)
        whole = parts.scheme in ("tcp", "tls") and parts.hostname and parts.port and parts.path in ("", "/")
    except ValueError:
        whole = False
    if not whole or parts.username or parts.query:
        raise BadInput(f"{shown(address)} is no cluster's address: give tcp://HOST:PORT or tls://HOST:PORT.")
    if parts.scheme == "tcp" and not is_loopback(parts.hostname or "") and os.environ.get(INSECURE) != "1":
        raise BadInput(
            f"{address} leaves this machine without encryption: make certificates (`{PROGRAM} cluster certificates "
            f"DIR`), set {CERTIFICATES} and give tls://HOST:PORT; or set {INSECURE}=1 in a network that you trust."
        )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine's own loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def need_dask() -> None:
    """``BadInput`` with what to install, where Dask is missing."""
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise BadInput(f"a cluster needs Dask: {install('cluster')}") from None


def security_of(scheme: str, folder: Path | None = None) -> Security | None:
    """Return the certificates that all speak with, from ``folder`` or ``$DFML_CLUSTER_CERTIFICATES``; None for tcp.

    ``BadInput``: there are none.
    """
    if scheme != "tls":
        return None
    from distributed import Security

    given = folder or (given_path(os.environ[CERTIFICATES]) if os.environ.get(CERTIFICATES) else None)
    if given is None:
        raise BadInput(
            f"tls:// needs certificates: set {CERTIFICATES} to the folder of `{PROGRAM} cluster certificates`."
        )
    missing = [name for name in (AUTHORITY, CERTIFICATE, KEY) if not (given / name).is_file()]
    if missing:
        raise BadInput(f"{given} lacks {missing[0]}: give the folder that `{PROGRAM} cluster certificates` wrote.")
    ours, key = str(given / CERTIFICATE), str(given / KEY)
    roles = {f"tls_{role}_{what}": path for role in ("client", "scheduler", "worker")
             for what, path in (("cert", ours), ("key", key))}  # fmt: skip
    return Security(require_encryption=True, tls_ca_file=str(given / AUTHORITY), **roles)


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """Be a client of the cluster for a while. ``BadInput``: see ``check_address``; ``RunFailed``: nobody answers."""
    need_dask()
    check_address(address)
    from distributed import Client

    security = security_of(urlsplit(address).scheme)
    try:
        client = Client(address, security=security, set_as_default=False, timeout=CONNECT_SECONDS, name="dfml")
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunFailed(f"no cluster answers at {address} ({reason}): is its scheduler running?") from None
    try:
        yield client
    finally:
        client.close(timeout=2)


def program() -> dict[str, str]:
    """What must be the same on all nodes, by name."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"dfml": __version__, "Python": python, "torch": importlib.metadata.version("torch")}


def refuse_unlike(workers: dict[str, dict[str, Any]], threads: dict[str, int]) -> None:
    """``BadInput`` with the first worker of another version, or with more than one thread, and what it has."""
    wanted = program()
    for address, facts in workers.items():
        for name, ours in wanted.items():
            if facts.get(name) != ours:
                raise BadInput(f"worker {address} has {name} {facts.get(name)}, here is {ours}: nodes must be alike.")
        if threads.get(address, 1) != 1:
            raise BadInput(
                f"worker {address} does {threads[address]} things at once: start it with `{PROGRAM} cluster worker`, "
                "or with one thread (--nthreads 1)."
            )
