"""Bring each fault of ``faults.toml`` into a copy of the checkout and see that its tests fail: they have not gone dull.

    python tests/mutants/check.py                           all faults; `make mutants` looks at two at a time
    python tests/mutants/check.py --only teapot             those whose name, file or method contains this
    python tests/mutants/check.py --jobs 2 --limit 120      two at a time, two minutes for each at most

The tests of a fault first run without it and must pass, those of all faults in one go, which is kept. Then it is
applied, they run again, and it is undone. It is ``killed`` where they fail, crash, or come to no end in time. What
became of it is kept in ``runs/mutants`` while its lines, its tests' files, the program and what tests share stay as
they are (tests of others may change): a call that was stopped goes on, and loses the faults at work alone.

Exit code 1 where a fault survives that names no reason, is killed though it names one, or cannot be told, and where
fewer than 95 % are killed. Not a part of the suite: it takes an hour. No file of the checkout is touched.
"""

import argparse
import hashlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
FAULTS, KEPT = Path(__file__).with_name("faults.toml"), ROOT / "runs" / "mutants"
KILLED, SURVIVED, NOT_FOUND, DULL = "killed", "SURVIVED", "not found", "tests do not pass without it"
LIST, SHARED = "tests/mutants/faults.toml", ("dfml", "pages", "tests")
FAILED = 1  # pytest's exit code; a higher one says that the tests did not run
LEAST_KILLED = 0.95
LONGEST_CLEAN = 1800.0
"""Seconds that all tests together may take without a fault; past that each fault runs its own."""
WITHOUT_HARM = {"properties", "system-out", "system-err"}
"""What the report of a test that passed may hold."""
TIMES = itertools.count(1_000_000_000)
"""When a file of a copy was last written: each time another second, by which Python knows old bytecode."""


@dataclass(frozen=True)
class Fault:
    """One entry of the list; ``faults.toml`` says what each part is."""

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]
    method: str = ""
    seam: bool = False
    survives: str = ""

    @property
    def whose(self) -> str:
        """The method that it is a fault of, by its field or its file; empty where it is of none."""
        path = Path(self.file)
        return self.method or (path.stem.replace("_", "-") if path.parent.name == "methods" else "")

    def has(self, text: str) -> bool:
        """Whether name, file or method contains a text, in letters of any size."""
        return any(text.casefold() in part.casefold() for part in (self.name, self.file, self.whose))

    def digest(self, root: Path, shared: str) -> str:
        """Of all that decides what becomes of it: its lines, its tests, the files of both, and what all share."""
        files = {root / self.file, *(root / test.partition("::")[0] for test in self.tests)}
        parts = [shared, self.before, self.after, *self.tests, digest_of(root, files)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

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
    return [
        Fault(**{**entry, "tests": tuple(entry["tests"])})
        for entry in tomllib.loads(FAULTS.read_text(encoding="utf-8"))["fault"]
    ]


def copy_checkout(folder: Path) -> Path:
    """Copy what git knows, and what it would not ignore, as it stands now; returns the copy."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True, encoding="utf-8").stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def digest_of(root: Path, files: Iterable[Path]) -> str:
    """Of the names and the bytes of files below a folder; those that are not there count as such."""
    found = hashlib.sha256()
    for path in sorted(files):
        inside = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        found.update(f"{path.relative_to(root).as_posix()}\0{inside}\0".encode())
    return found.hexdigest()


def shared_digest(root: Path) -> str:
    """Of what the tests of any fault may use: the program, and all below ``tests`` but the list and tests of others.

    A test file from which others import is no test of others. Asked of a copy in which nothing has run yet.
    """
    below = [path for name in SHARED for path in (root / name).rglob("*") if path != root / LIST]
    texts = [path.read_text(encoding="utf-8") for path in below if path.suffix == ".py"]
    imported = {
        name for text in texts for name in re.findall(r"^ *from tests\.(?:\w+\.)*(test_\w+) import", text, re.M)
    }
    files = [path for path in below if path.is_file() and (path.stem in imported or not path.match("test_*.py"))]
    return digest_of(root, [*files, root / "app.py", root / "pyproject.toml"])


def passed_before(folder: Path, tests: list[str], shared: str, jobs: int) -> set[str]:
    """Those of the tests that pass in a copy; what is found is kept for the next call on the same files."""
    files = {folder / test.partition("::")[0] for test in tests}
    path = KEPT / f"passing-{hashlib.sha256(f'{shared}{digest_of(folder, files)}'.encode()).hexdigest()}"
    with suppress(OSError):
        return set(path.read_text(encoding="utf-8").splitlines())
    found = passing(folder, tests, jobs, LONGEST_CLEAN)
    if found:
        KEPT.mkdir(parents=True, exist_ok=True)
        (part := path.with_suffix(".part")).write_text("\n".join(sorted(found)), encoding="utf-8")
        part.replace(path)
    return found


def passing(folder: Path, tests: list[str], jobs: int, limit: float) -> set[str]:
    """Those of the tests that pass in a copy, all run in one go; none where that takes longer than the limit."""
    report = folder.parent / "passing.xml"
    run_tests(folder, tuple(tests), limit, "-n", str(jobs), f"--junitxml={report}", "--maxfail=1000000")
    outcomes: dict[str, list[bool]] = {}
    with suppress(OSError, ElementTree.ParseError):
        for case in ElementTree.parse(report).iter("testcase"):
            name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '')}"
            for test in {name, name.partition("[")[0]}:
                outcomes.setdefault(test, []).append(len(case) == 0 or {part.tag for part in case} <= WITHOUT_HARM)
    return {test for test, passed in outcomes.items() if all(passed)}


def run_tests(folder: Path, tests: tuple[str, ...], limit: float, *how: str) -> tuple[int | None, str]:
    """Run tests in a copy, with one thread, up to the first failure; returns pytest's exit code (None: out of time)."""
    how = how or ("-x", "-n", "0")
    command = [sys.executable, "-m", "pytest", "-q", *how, "-m", "", "-p", "no:cacheprovider", *tests]
    with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as place:
        own = {"PYTHONPATH": str(folder), "TMPDIR": place, "OMP_NUM_THREADS": "1", "DFML_TEST_THREADS": "1"}
        env = {**{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}, **own}
        with (log := Path(place) / "log.txt").open("wb") as out:
            work = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=out, start_new_session=True)
        with suppress(subprocess.TimeoutExpired):
            work.wait(limit)
        code = work.poll()
        with suppress(ProcessLookupError):
            os.killpg(work.pid, signal.SIGKILL)  # tests that hang, and what others have left running
        work.wait()
        return code, log.read_text(encoding="utf-8", errors="replace")


def write(path: Path, text: str) -> None:
    """Write a file of a copy, at a time of its own."""
    path.write_text(text, encoding="utf-8")
    os.utime(path, (now := next(TIMES), now))


def look_at(fault: Fault, folder: Path, limit: float, passed: Container[str] = ()) -> str:
    """Run a fault's tests in a copy without it, unless they have passed, and with it; returns what became of it."""
    path = folder / fault.file
    whole = path.read_text(encoding="utf-8") if path.is_file() else ""
    faulty = fault.applied(whole)
    if faulty is None:
        return NOT_FOUND
    if not all(test in passed for test in fault.tests):
        code, said = run_tests(folder, fault.tests, limit)
        if code != 0:
            print(said, flush=True)
            return DULL
    write(path, faulty)
    try:
        code, said = run_tests(folder, fault.tests, limit)
    finally:
        write(path, whole)
    if code is not None and code > FAILED:
        print(said, flush=True)
        return f"cannot be told: pytest ended with {code}"
    return SURVIVED if code == 0 else KILLED


def kept(digest: str) -> str:
    """The result that is kept of a fault with this digest; empty where none is."""
    with suppress(OSError, ValueError):
        result = (KEPT / digest).read_text(encoding="utf-8").partition("\n")[0]
        return result if result in (KILLED, SURVIVED) else ""
    return ""


def keep(digest: str, result: str, name: str) -> None:
    """Keep a result, all of it or nothing."""
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / digest
    (part := path.with_suffix(".part")).write_text(f"{result}\n{name}\n", encoding="utf-8")
    part.replace(path)


def fails(results: dict[Fault, str]) -> list[str]:
    """What is wrong with the results, one line each."""
    wrong = []
    for fault, result in results.items():
        if result == KILLED and fault.survives:
            wrong.append(f"{fault.name}: is killed, so that it needs no reason: take its `survives` out")
        elif result == SURVIVED and not fault.survives:
            wrong.append(f"{fault.name}: survives and names no reason")
        elif result not in (KILLED, SURVIVED):
            wrong.append(f"{fault.name}: {result}")
    killed = sum(result == KILLED for result in results.values())
    if killed < LEAST_KILLED * len(results):
        wrong.append(f"{killed} of {len(results)} killed, fewer than {LEAST_KILLED:.0%}")
    return wrong


def main(words: list[str] | None = None) -> int:
    """Look at the faults that are asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="the same as --only")
    parser.add_argument("--only", action="append", default=[], help="text in name, file or method; repeatable")
    parser.add_argument("--jobs", type=int, default=1, help="faults that are looked at side by side, a thread each")
    parser.add_argument("--limit", type=float, default=300, help="seconds that the tests of a fault may take")
    parser.add_argument("--again", action="store_true", help="look again at those whose results are kept")
    asked = parser.parse_args(words)
    wanted, jobs, began = [*asked.names, *asked.only], max(1, asked.jobs), time.monotonic()
    faults = [fault for fault in read_faults() if not wanted or any(fault.has(text) for text in wanted)]
    if not faults:
        parser.error(f"no fault has {' or '.join(map(repr, wanted))} in its name, file or method")
    with tempfile.TemporaryDirectory(prefix="dfml-mutants-", ignore_cleanup_errors=True) as place:
        first = copy_checkout(Path(place) / "copy-0")
        # Of what is tested, not of the checkout: that may change while the tests run.
        shared = shared_digest(first)
        digests = {fault: fault.digest(first, shared) for fault in faults}
        known = {fault: "" if asked.again else kept(digests[fault]) for fault in faults}
        todo = [fault for fault, result in known.items() if not result]
        print(f"{len(faults)} faults, of which {len(faults) - len(todo)} were looked at before", flush=True)
        tests = sorted({test for fault in todo for test in fault.tests})
        passed = passed_before(first, tests, shared, jobs) if len(todo) > 1 else set[str]()
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(1, min(jobs, len(todo))):
            copies.put(shutil.copytree(first, Path(place) / f"copy-{number}"))
        copies.put(first)

        def work(fault: Fault) -> None:
            folder, started = copies.get(), time.monotonic()
            try:
                known[fault] = result = look_at(fault, folder, asked.limit, passed)
            finally:
                copies.put(folder)  # or others would wait for it for ever
            print(f"{result}: {fault.name} ({fault.file}), {time.monotonic() - started:.0f} s", flush=True)
            if result in (KILLED, SURVIVED):
                keep(digests[fault], result, fault.name)

        with ThreadPoolExecutor(jobs) as pool:
            try:
                list(pool.map(work, todo))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    tell(known)
    print(f"{(time.monotonic() - began) / 60:.0f} minutes")
    wrong = fails(known)
    print(*wrong, sep="\n")
    return int(bool(wrong))


def tell(results: dict[Fault, str]) -> None:
    """Print who survived and why, and how many faults were killed: of each method, at seams, of all."""
    for fault, result in results.items():
        if result != KILLED:
            print(f"{result}: {fault.name} ({fault.file}): {fault.survives or 'no reason is named'}")
    groups = {"at seams": [fault for fault in results if fault.seam], "all": list(results)}
    methods = sorted({fault.whose for fault in results} - {""})
    for name in [*methods, *groups]:
        group = groups.get(name) or [fault for fault in results if fault.whose == name]
        killed = sum(results[fault] == KILLED for fault in group)
        print(f"{name:20} {killed} of {len(group)} killed" + (f", {killed / len(group):.0%}" if group else ""))


if __name__ == "__main__":
    sys.exit(main())
