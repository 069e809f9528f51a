"""Run the tests whose outcome depends on random draws or rounding, one axis at a time: seeds, kernels, threads.

    python tests/axes.py                          all axes; what is finished is not run again
    python tests/axes.py --only seed threads      those whose name holds one of the words
    python tests/axes.py -- tests/meta            arguments for pytest after --

Tells what failed and what came within 20 % of its limit (see tests/margins.py), and ends with a table. Each axis leaves
a log and its margins in the folder of --state. Stopped, or out of time, it goes on with the next call; another commit,
or a changed file, starts anew. Not a part of the suite: all axes take most of an hour on two cores.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
AXES = {
    **{f"seed {seed}": {"DFML_TEST_SEED": str(seed)} for seed in range(5)},
    "kernels default": {"ATEN_CPU_CAPABILITY": "default"},
    "kernels avx2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "oneDNN SSE41": {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    "threads 2": {"DFML_TEST_THREADS": "2"},
    "threads 4": {"DFML_TEST_THREADS": "4"},
}
SET_BY_US = sorted({name for axis in AXES.values() for name in axis})
COMMAND = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "stochastic", "-p", "no:cacheprovider"]
NEAR = 0.2


def code_stamp() -> str:
    """The commit, and a digest of what differs from it."""
    asked = (["rev-parse", "HEAD"], ["diff", "HEAD"], ["status", "--porcelain"])
    commit, *changes = (subprocess.run(["git", *a], cwd=ROOT, capture_output=True, check=True).stdout for a in asked)
    return f"{commit.decode().strip()[:12]}-{hashlib.sha256(b''.join(changes)).hexdigest()[:8]}"


def run_axis(name: str, folder: Path, words: list[str], deadline: float) -> dict:
    """Run the tests in an axis's environment; returns exit code (None: out of time), seconds, failures."""
    stem = name.replace(" ", "-")
    margins, log = folder / f"{stem}.jsonl", folder / f"{stem}.log"
    margins.unlink(missing_ok=True)
    kept = {k: v for k, v in os.environ.items() if k not in SET_BY_US}
    environment = {**kept, **AXES[name], "DFML_TEST_MARGINS": str(margins)}
    began = time.monotonic()
    with open(log, "w", encoding="utf-8") as out:
        try:
            left = max(1.0, deadline - began)
            done = subprocess.run([*COMMAND, *words], cwd=ROOT, env=environment, stdout=out, stderr=out, timeout=left)
            code = done.returncode
        except subprocess.TimeoutExpired:
            code = None
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return {"code": code, "seconds": time.monotonic() - began, "failed": failed}


def margins_of(name: str, folder: Path) -> list[dict]:
    """The margins that an axis's tests recorded."""
    path = folder / f"{name.replace(' ', '-')}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def near(margins: list[dict]) -> list[dict]:
    """Those within 20 % of their limit, failed ones included; nearest first."""
    return sorted((m for m in margins if not m["room"] >= NEAR), key=lambda m: m["room"])


def main(words: list[str] | None = None) -> int:
    """Run what is left, tell what came near; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[""], help="run axes whose name holds one of these words")
    parser.add_argument("--state", type=Path, default=ROOT / "runs" / "axes", help="folder of logs and margins")
    parser.add_argument("--minutes", type=float, default=60, help="begin nothing after this, and stop what runs")
    parser.add_argument("--jobs", type=int, default=2, help="axes of one thread that run side by side")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    asked = parser.parse_args(words)
    chosen = [name for name in AXES if any(word in name for word in asked.only)]
    asked.state.mkdir(parents=True, exist_ok=True)
    file, stamp = asked.state / "state.json", [code_stamp(), *asked.pytest]
    state = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if state.get("stamp") != stamp:
        state = {"stamp": stamp, "axes": {}}
    deadline = time.monotonic() + 60 * asked.minutes

    def run(name):
        if name not in state["axes"] and time.monotonic() < deadline:
            result = run_axis(name, asked.state, asked.pytest, deadline)
            if result["code"] in (0, 1):  # passed, or tests failed; else it has not run
                state["axes"][name] = result
                file.write_text(json.dumps(state, indent=1), encoding="utf-8")
            _tell(name, result, margins_of(name, asked.state))

    alone = [name for name in chosen if "threads" in name]
    with ThreadPoolExecutor(asked.jobs) as pool:
        list(pool.map(run, [name for name in chosen if name not in alone]))
    for name in alone:
        run(name)
    return _table(chosen, state["axes"], asked.state)


def _tell(name, result, margins):
    print(f"== {name}: exit code {result['code']}, {result['seconds'] / 60:.1f} min", flush=True)
    for line in result["failed"]:
        print(f"   {line}", flush=True)
    for m in near(margins):
        print(f"   {m['room']:6.1%} {m['test']} {m['name']}: {m['value']:.5g}, limit {m['limit']:.5g}", flush=True)


def _table(chosen, done, folder):
    print(f"\n{'axis':16} {'checks':>7} {'failed':>7} {'near':>5} {'nearest':>8} {'minutes':>8}")
    for name in chosen:
        if name not in done:
            print(f"{name:16} not finished: run it again to go on")
            continue
        found = margins_of(name, folder)
        nearest = f"{min(m['room'] for m in found):.0%}" if found else "-"
        counts = f"{len(found):7} {len(done[name]['failed']):7} {len(near(found)):5}"
        print(f"{name:16} {counts} {nearest:>8} {done[name]['seconds'] / 60:8.1f}")
    return int(any(name not in done or done[name]["code"] != 0 for name in chosen))


if __name__ == "__main__":
    sys.exit(main())
