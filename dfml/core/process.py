"""Threads and processes: how many threads, how they wait, work shared among processes, and ending with their parent."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar, cast

from dfml.core.errors import DfmlError, RunFailed
from dfml.core.system import SYSTEM

BLOCKTIME = "1"
"""Milliseconds, and the least at which a thread spins at all; the default is 200."""
_BY_USER = ("KMP_BLOCKTIME", "KMP_LIBRARY", "OMP_WAIT_POLICY")
LOOK_SECONDS = 0.5

Item = TypeVar("Item")
Result = TypeVar("Result")
_watching = threading.Lock()


def at_most_as_wanted(count: int) -> int:
    """Return ``count``, or ``$OMP_NUM_THREADS`` where that is less: threads that share a core wait for each other."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(count, int(limit) if limit.isdecimal() and int(limit) else count))


def wait_briefly(environment: MutableMapping[str, str] | None = None) -> None:
    """Let threads of Intel's and LLVM's OpenMP, which wheels for Windows and macOS ship, soon sleep when they wait.

    They read this when they are loaded: call it before torch, scikit-learn or POT are imported. Processes that are
    started later inherit it. GNU's, in wheels for Linux, waits as ``dfml.nets.device`` says. How many threads there
    are, and what they compute, stays as it is; so does what a user has set in the ``environment`` that is changed.
    """
    environment = os.environ if environment is None else environment
    if not any(name in environment for name in _BY_USER):
        environment["KMP_BLOCKTIME"] = BLOCKTIME


def in_processes(
    work: Callable[[Item], Result], items: Sequence[Item], *, jobs: int, what: str
) -> Iterator[Result | None]:
    """Call a function of a module for each item, in processes of one thread that joblib's backend starts.

    With one of ``jobs`` the work is done in this process. Closing the iterator ends local processes at once; ``what``
    they did is said where one dies, such as ``recovered teachers``. Yields what each piece of work returned, as they
    end, and None every half second in between. ``RunFailed``: a process died.
    """
    if jobs == 1:
        yield from map(work, items)
        return
    from joblib import Parallel, delayed  # here, since it loads numpy
    from joblib.externals.loky import get_reusable_executor

    pieces = (delayed(_one)(work, item) for item in items)
    results = cast(Generator[Result, None, None], Parallel(n_jobs=jobs, return_as="generator_unordered")(pieces))
    # joblib's generator blocks until a piece is done; whoever waits must be able to stop in between.
    done, waiter = 0, ThreadPoolExecutor(1)
    try:
        while done < len(items):
            waiting = waiter.submit(next, results)
            while not wait([waiting], LOOK_SECONDS).done:
                yield None
            found = waiting.result()
            done += 1
            yield found
    except DfmlError:
        raise
    except Exception as error:
        name, text = type(error).__name__, " ".join(str(error).split())[:200]
        raise RunFailed(
            f"a process that {what} died ({name}: {text}); what was finished is kept: go on, with fewer threads if "
            "memory was short."
        ) from error
    finally:
        if done < len(items):
            # Ends the local processes at once, and with them the wait of the thread.
            whole = get_reusable_executor(reuse=True)  # pyright: ignore[reportArgumentType] - its default is "auto"
            whole.shutdown(wait=False, kill_workers=True)
        waiter.shutdown(wait=True, cancel_futures=True)
        results.close()


def _one(work: Callable[[Item], Result], item: Item) -> Result:
    end_with_parent()
    return work(item)


def end_with_parent() -> bool:
    """Let this process end within a second or two when the one that started it is gone; return whether it will.

    A process pool hands its work out ahead. Where the process that wanted it is killed, nobody else tells the helpers
    to stop, and they would go on until their queue is empty. Called by the work itself, once or often; in the process
    that gave the work out, and where the parent cannot be told (it was started through another process), nothing is
    done.
    """
    parent = multiprocessing.parent_process()
    lives = SYSTEM.parent_watch(parent.pid) if parent and parent.pid else None
    if lives is None:
        return False
    if _watching.acquire(blocking=False):  # never released: one watcher a process
        threading.Thread(target=_watch, args=(lives,), name="end with parent", daemon=True).start()
    return True


def _watch(lives: Callable[[], bool]) -> None:
    while lives():
        time.sleep(1.0)
    os._exit(1)  # nothing is left to tell; files are written whole or not at all
