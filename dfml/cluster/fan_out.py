"""The one place where work is shared: among processes of this machine, or among the workers of a Dask cluster."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from dfml.cluster import node
from dfml.cluster.connecting import connected
from dfml.cluster.nodes import LOOK_SECONDS, Nodes
from dfml.cluster.parcels import drop, pack_folder, pack_value
from dfml.core.errors import DfmlError, RunFailed
from dfml.core.process import end_with_parent

PART, WHOLE = 0.01, 1.0
"""Of a worker's GPU: a piece of work asks for any share, a whole run for all of it."""

LEAST_OUT, OUT_PER_WORKER = 100, 10
"""Pieces of work that a cluster is given ahead, and how many for each worker where it has many."""
Jobs = int | str
"""How many processes of this machine, or the address of a cluster."""
Ask = Callable[..., dict[str, Any]]
"""Calls a function on a cluster's workers, or on ``workers=[ADDRESS]``; gives each one's answer, by its address."""
Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    jobs: Jobs,
    what: str,
    folders: Sequence[str] = (),
    marks: Path | None = None,
    gpu: float = 0.0,
    look: Callable[[Ask], None] | None = None,
) -> Generator[Result | None, None, None]:
    """Call a function of a module for each item, in processes of one thread that joblib's backend starts.

    Closing the iterator ends them, and what workers of a cluster do for it. Yields what each piece of work returned, as
    they end, and None every half second in between.

    Args:
        work: It is called with an item, here or elsewhere.
        items: Whatever can be pickled.
        jobs: Processes here, with one the work is done in this one; or the cluster, all of whose workers do it.
        what: What they did, said where one dies, such as ``recovered teachers``.
        folders: Those that the work reads: each is sent once to each node, unless it is there; ``given_path`` finds it.
        marks: The folder into which ``node.tell`` writes.
        gpu: Which share of a worker's GPU a piece takes; workers with less are left out.
        look: Called every half second while workers of a cluster are at work.

    Raises:
        BadInput: The cluster's nodes are not alike, or a folder cannot be sent.
        RunFailed: A process died, or the cluster is gone or has no such GPU. A lost node's pieces are done by others.
    """
    if isinstance(jobs, str):
        yield from _on_cluster(work, items, what=what, address=jobs, folders=folders, marks=marks, gpu=gpu, look=look)
        return
    if jobs == 1:
        yield from map(work, items)
        return
    from joblib import Parallel, delayed  # here, since it loads numpy
    from joblib.externals.loky import get_reusable_executor

    def end() -> None:
        # Ends the local processes at once, and with them the wait of the thread.
        whole = get_reusable_executor(reuse=True)  # pyright: ignore[reportArgumentType] - its default is "auto"
        whole.shutdown(wait=False, kill_workers=True)

    pieces = (delayed(_one)(work, item) for item in items)
    results = cast(Generator[Result, None, None], Parallel(n_jobs=jobs, return_as="generator_unordered")(pieces))
    yield from _as_they_end(results, len(items), what=what, end=end)


def part_of_gpu(device: str, share: float = PART) -> float:
    """Return ``share`` where a device's name asks for a GPU of the worker's, else 0."""
    return share if device.startswith("cuda") else 0.0


def _one(work: Callable[[Item], Result], item: Item) -> Result:
    end_with_parent()
    return work(item)


def _as_they_end(
    results: Generator[Result, None, None],
    many: int,
    *,
    what: str,
    end: Callable[[], None],
    look: Callable[[], None] = lambda: None,
    gone: Callable[[Exception], DfmlError | None] = lambda error: None,
) -> Iterator[Result | None]:
    """Yield ``many`` results, and None in between, after a ``look``; ``end`` ends the work where not all is wanted.

    ``gone`` says of an error that whoever did the work is no longer there, if that is so.
    """
    # joblib's generator blocks until a piece is done; whoever waits must be able to stop in between.
    done, waiter = 0, ThreadPoolExecutor(1)
    try:
        while done < many:
            waiting = waiter.submit(next, results)
            while not wait([waiting], LOOK_SECONDS).done:
                look()
                yield None
            found = waiting.result()
            done += 1
            yield found
    except DfmlError:
        raise
    except Exception as error:
        raise gone(error) or RunFailed(
            f"a process that {what} died ({type(error).__name__}: {' '.join(str(error).split())[:200]}); what was "
            "finished is kept: go on, with fewer threads if memory was short."
        ) from error
    finally:
        if done < many:
            end()
        waiter.shutdown(wait=True, cancel_futures=True)
        results.close()


def _on_cluster(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    what: str,
    address: str,
    folders: Sequence[str],
    marks: Path | None,
    gpu: float,
    look: Callable[[Ask], None] | None,
) -> Iterator[Result | None]:
    with connected(address) as client:
        import cloudpickle
        from distributed import Future
        from joblib import Parallel, delayed

        token, parcels = secrets.token_hex(8), {path: pack_folder(Path(path)) for path in folders}
        done = pack_value(cloudpickle.dumps((token, work)))  # nobody else's, since it is dropped in the end
        order = node.Order(token, done.digest, {path: parcel.digest for path, parcel in parcels.items()})
        meanwhile = (lambda nodes: look(nodes.ask)) if look else (lambda nodes: None)
        nodes = Nodes(client, order, [*parcels.values(), done], gpu=gpu, meanwhile=meanwhile)

        def mark(event: tuple[float, Any]) -> None:
            with suppress(OSError, ValueError, TypeError):
                name, text = event[1]
                if marks is not None and (marks / name).parent == marks:
                    (marks / name).write_text(text, encoding="ascii")

        def look_around() -> None:
            nodes.greet()
            meanwhile(nodes)

        def end() -> None:
            client.cancel([Future(key, client=client) for key in list(client.futures)], force=True)
            nodes.end_work()

        client.subscribe_topic(token, mark)
        try:
            yield from nodes.wait()
            backend = _on_all_workers(client, {"GPU": gpu} if gpu else {})
            # Many at once: who joins later finds work waiting. Not all: each that is out takes memory here.
            out = max(LEAST_OUT, OUT_PER_WORKER * len(cast(dict, client.nthreads())))
            how: dict[str, Any] = {"pre_dispatch": out, "batch_size": 1}
            parallel = Parallel(backend=backend, return_as="generator_unordered", **how)
            pieces = (delayed(node.do_piece)(order, item) for item in items)
            results = cast(Generator[Result, None, None], parallel(pieces))
            yield from _as_they_end(results, len(items), what=what, end=end, look=look_around, gone=nodes.gone)
        finally:
            with suppress(Exception):  # the cluster may be gone, and it is tidying only
                client.unsubscribe_topic(token)
                nodes.ask(drop, done.digest, on_error="ignore")


def _on_all_workers(client: Any, resources: dict[str, float]) -> Any:  # noqa: ANN401 - of libraries that load slowly
    """Return joblib's Dask backend; with a single worker, too, which joblib itself would leave idle."""
    from joblib._dask import DaskDistributedBackend

    class OnAllWorkers(DaskDistributedBackend):
        def effective_n_jobs(self, n_jobs: int) -> int:
            return max(2, super().effective_n_jobs(n_jobs))

    asked: dict[str, Any] = {"resources": resources} if resources else {}
    return OnAllWorkers(client=client, **asked)
