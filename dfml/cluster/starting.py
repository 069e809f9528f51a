"""A scheduler and workers of one's own: Dask's, with one thread a process, on loopback unless told otherwise."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dfml.cluster.connecting import CERTIFICATES, INSECURE, check_address, is_loopback, need_dask, security_of
from dfml.core.errors import BadInput, RunFailed
from dfml.core.remedies import PROGRAM

LOOPBACK = "127.0.0.1"
Say = Callable[[str], None]


def check_host(host: str, certificates: Path | None, *, insecure: bool) -> str:
    """Return the scheme with which ``host`` may be listened on, tcp or tls.

    ``BadInput``: it is not this machine's loopback, and there are neither certificates nor ``insecure``.
    """
    if certificates or os.environ.get(CERTIFICATES):
        return "tls"
    if not is_loopback(host) and not insecure:
        raise BadInput(
            f"whoever reaches {host} could run anything here: make certificates with `{PROGRAM} cluster certificates "
            "DIR` and give --certificates DIR; or add --insecure in a network that you trust."
        )
    return "tcp"


def run_scheduler(
    *, host: str, port: int, certificates: Path | None, insecure: bool, dashboard: bool, tell: Say
) -> None:
    """Be a scheduler until a signal ends it; ``tell`` gets its address once it listens.

    ``BadInput``: see ``check_host``, or the port is taken.
    """
    need_dask()
    scheme = check_host(host, certificates, insecure=insecure)
    from dask import config as dask_config
    from distributed import Scheduler

    # Without the dashboard its web server has nothing to tell; it cannot be left out, so nobody else reaches it.
    web = {"dashboard": True, "dashboard_address": f"{host}:8787"} if dashboard else {
        "dashboard": False, "dashboard_address": f"{LOOPBACK}:0"
    }  # fmt: skip
    if not dashboard:
        dask_config.set({"distributed.scheduler.http.routes": []})
    security = security_of(scheme, certificates)

    async def serve(wait: Callable[[Any], Awaitable[None]]) -> None:
        try:
            started = Scheduler(host=host, port=port, protocol=scheme, security=security, **web)
            async with started as scheduler:
                tell(scheduler.address)
                await wait(scheduler)
        except OSError as error:
            raise BadInput(f"cannot listen on {host}:{port}: {error.strerror or error}.") from None

    asyncio.run(_until_ended(serve))


def run_workers(
    address: str, *, processes: int, gpu: str, host: str, certificates: Path | None, insecure: bool, tell: Say
) -> None:
    """Be workers of the scheduler at ``address`` until a signal ends them, each a process with one thread.

    ``gpu`` is the CUDA device that they see, such as ``0``, "" for none; each of several processes declares its share.
    ``host`` is where they listen: "" for loopback if the scheduler is there, else the address that leads to it.

    Raises:
        BadInput: See ``check_host`` and ``check_address``.
        RunFailed: The scheduler does not answer.
    """
    need_dask()
    if insecure:
        os.environ[INSECURE] = "1"
    check_address(address)
    parts = urlsplit(address)
    host = host or (
        LOOPBACK if is_loopback(parts.hostname or "") else _own_address(parts.hostname or "", parts.port or 0)
    )
    scheme = check_host(host, certificates, insecure=insecure)
    if scheme != parts.scheme:
        raise BadInput(f"the scheduler speaks {parts.scheme}, these workers {scheme}: give both the same certificates.")
    from dask import config as dask_config
    from distributed import Nanny

    dask_config.set({"distributed.worker.http.routes": [], "distributed.worker.multiprocessing-method": "spawn"})
    security = security_of(scheme, certificates)
    resources = {"GPU": 1 / processes} if gpu else {}
    variables = {**dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"), **({"CUDA_VISIBLE_DEVICES": gpu})}

    async def serve(wait: Callable[[Any], Awaitable[None]]) -> None:
        nannies = [
            Nanny(
                address, nthreads=1, host=host, security=security, resources=resources, env=variables,
                dashboard_address=f"{LOOPBACK}:0", dashboard=False, death_timeout=60, memory_limit="0",
            )
            for _ in range(processes)
        ]  # fmt: skip
        try:
            await asyncio.gather(*nannies)
            tell(f"{processes} of {address}")
            await wait(nannies[0])
        except (OSError, TimeoutError) as error:
            raise RunFailed(f"no scheduler answers at {address} ({type(error).__name__}): is it running?") from None
        finally:
            for nanny in nannies:
                with suppress(Exception):
                    await nanny.close(timeout=3)

    asyncio.run(_until_ended(serve))


def _own_address(host: str, port: int) -> str:
    """The address of this machine from which ``host`` is reached; no word is sent. ``BadInput``: it is unknown."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, port))
            return str(probe.getsockname()[0])
    except OSError as error:
        raise BadInput(f"cannot find the way to {host}: {error.strerror}; give --host.") from None


async def _until_ended(serve: Callable[[Callable[[Any], Awaitable[None]]], Awaitable[None]]) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows: Ctrl-C ends it anyway
            loop.add_signal_handler(number, ended.set)

    async def wait(server: Any) -> None:  # noqa: ANN401 - a scheduler or a nanny
        own = asyncio.ensure_future(server.finished())
        asked = asyncio.ensure_future(ended.wait())
        await asyncio.wait([own, asked], return_when=asyncio.FIRST_COMPLETED)
        own.cancel()
        asked.cancel()

    await serve(wait)
