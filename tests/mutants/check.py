"""Bring each fault of ``faults.toml`` into a copy of the checkout and see that its tests fail: they have not gone dull.

    python tests/mutants/check.py                               all faults
    python tests/mutants/check.py "a run keeps the password of an address"    those of these names
    python tests/mutants/check.py --jobs 2 --limit 120          two at a time, two minutes for each at most

First all named tests run without a fault and must pass. Then each fault is applied, its tests run, and it is undone.
It is ``killed`` where they fail, crash, or come to no end in time. Exit code 1 unless all are. Not a part of the suite:
it takes some minutes. Nothing is written into the checkout.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[2]
FAULTS = Path(__file__).with_name("faults.toml")
KILLED, SURVIVED, NOT_FOUND, DULL = "killed", "SURVIVED", "not found", "tests pass no longer without it"
FAILED = 1  # pytest's exit code; a higher one says that the tests did not run


@dataclass(frozen=True)
class Fault:
    """One entry of the list; ``faults.toml`` says what each part is."""

    name: str
    file: str
    before: str
    after: str
    tests: list[str]

    def applied(self, text: str) -> str | None:
        """The file's text with the fault; None where the line does not stand there exactly once."""
        lines = text.split("\n")
        places = [place for place, line in enumerate(lines) if line.strip() == self.before]
        if len(places) != 1:
            return None
        lines[places[0]] = lines[places[0]].replace(self.before, self.after)
        return "\n".join(lines)


def read_faults() -> list[Fault]:
    """All entries of the list."""
    return [Fault(**entry) for entry in tomllib.loads(FAULTS.read_text(encoding="utf-8"))["fault"]]


def copy_checkout(folder: Path) -> Path:
    """Copy what git knows, and what it would not ignore, as it stands now; returns the copy."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True, encoding="utf-8").stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def run_tests(folder: Path, tests: list[str], limit: float, *options: str) -> tuple[int | None, str]:
    """Run tests in a copy, with one thread; returns pytest's exit code (None: out of time) and what it said."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "", "-p", "no:cacheprovider", *options, *tests]
    with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as place:
        # A file that is changed twice in a second must not be taken from a cache of bytecode.
        own = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(folder), "TMPDIR": place}
        env = {**os.environ, **own, "OMP_NUM_THREADS": "1", "DFML_TEST_THREADS": "1"}
        with (log := Path(place) / "log.txt").open("wb") as out:
            work = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=out, start_new_session=True)
        with suppress(subprocess.TimeoutExpired):
            work.wait(limit)
        code = work.poll()
        with suppress(ProcessLookupError):
            os.killpg(work.pid, signal.SIGKILL)  # tests that hang, and what others have left running
        work.wait()
        return code, log.read_text(encoding="utf-8", errors="replace")


def failing_without(faults: list[Fault], folder: Path, limit: float) -> set[str]:
    """Run all tests of the faults without any fault; returns those that do not pass."""
    tests = sorted({test for fault in faults for test in fault.tests})
    code, said = run_tests(folder, tests, limit * len(tests))
    if code == 0:
        return set()
    print(said, flush=True)
    named = [line.partition(" ")[2] for line in said.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return {test for test in tests if code != FAILED or any(line.startswith(test) for line in named)}


def look_at(fault: Fault, folder: Path, limit: float) -> str:
    """Apply a fault to a copy, run its tests, undo it; returns what became of it."""
    path = folder / fault.file
    whole = path.read_text(encoding="utf-8") if path.is_file() else ""
    faulty = fault.applied(whole)
    if faulty is None:
        return NOT_FOUND
    path.write_text(faulty, encoding="utf-8")
    code, said = run_tests(folder, fault.tests, limit, "-x")
    path.write_text(whole, encoding="utf-8")
    if code is not None and code > FAILED:
        print(said, flush=True)
        return f"cannot be told: pytest ended with {code}"
    return SURVIVED if code == 0 else KILLED


def main(words: list[str] | None = None) -> int:
    """Look at the faults that are asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="names of faults; all, if left out")
    parser.add_argument("--jobs", type=int, default=1, help="faults that are looked at side by side, a thread each")
    parser.add_argument("--limit", type=float, default=300, help="seconds that the tests of a fault may take")
    asked, every = parser.parse_args(words), {fault.name: fault for fault in read_faults()}
    if unknown := set(asked.names) - every.keys():
        parser.error(f"no fault is called {', '.join(map(repr, sorted(unknown)))}")
    faults, jobs = [every[name] for name in asked.names or every], max(1, asked.jobs)
    with tempfile.TemporaryDirectory(prefix="dfml-mutants-", ignore_cleanup_errors=True) as place:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(jobs):
            copies.put(copy_checkout(Path(place) / f"copy-{number}"))
        print(f"the tests of {len(faults)} faults, without any", flush=True)
        dull = failing_without(faults, Path(place) / "copy-0", asked.limit)

        def work(fault: Fault) -> tuple[str, float]:
            folder, began = copies.get(), time.monotonic()
            result = DULL if dull & {*fault.tests} else look_at(fault, folder, asked.limit)
            copies.put(folder)
            print(f"{result}: {fault.name} ({fault.file})", flush=True)
            return result, time.monotonic() - began

        with ThreadPoolExecutor(jobs) as pool:
            results = list(pool.map(work, faults))
    print(f"\n{'result':10} {'seconds':>7}  {'file':31} fault")
    for fault, (result, seconds) in zip(faults, results, strict=True):
        print(f"{result:10} {seconds:7.0f}  {fault.file:31} {fault.name}")
    killed = sum(result == KILLED for result, _ in results)
    print(f"\n{killed} of {len(faults)} killed")
    return int(killed < len(faults))


if __name__ == "__main__":
    sys.exit(main())
