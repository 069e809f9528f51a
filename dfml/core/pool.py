"""Work shared among processes of one thread each, through joblib.

joblib's backend decides where they run: local processes, unless ``joblib.parallel_config`` says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from dfml.core.errors import DfmlError, RunFailed

LOOK_SECONDS = 0.5

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(
    work: Callable[[Item], Result], items: Sequence[Item], *, jobs: int, what: str
) -> Iterator[Result | None]:
    """Do a piece of work for each item in processes, which are used again; closing the iterator ends them.

    Args:
        work: A function of a module, with arguments that can be sent to a process.
        items: What it is done for.
        jobs: Processes at a time; with 1 the work is done in this one.
        what: What a process did, for the message where it dies, such as ``recovered teachers``.

    Yields:
        What each piece of work returned, as they end, and None every half second in between.

    Raises:
        RunFailed: A process died.
    """
    if jobs == 1:
        yield from map(work, items)
        return
    results = Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(work)(item) for item in items)
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
            get_reusable_executor(reuse=True).shutdown(wait=False, kill_workers=True)
        waiter.shutdown(wait=True, cancel_futures=True)
        results.close()
