"""Prints what the jobs of `.ci/run` took beside their budget: `python tests/budget.py TIMES`.

``TIMES`` holds a line a job, its name and its seconds, a tab between. Exit code 1: a job without a limit, or one that
took half as long again as its limit.
"""

import sys
import tomllib
from pathlib import Path

BUDGET = Path(__file__).with_name("budget.toml")
MOST_MINUTES, TOLERATED = 60, 1.5


def limits(path=BUDGET):
    """Minutes by job; ``ValueError``: together they are over 60."""
    minutes = tomllib.loads(path.read_text(encoding="utf-8"))["minutes"]
    if sum(minutes.values()) > MOST_MINUTES:
        raise ValueError(f"the jobs of {path} may take {sum(minutes.values())} minutes, of {MOST_MINUTES} in all")
    return minutes


def table(times, minutes):
    """The filled-in table as lines of text, and what is wrong, a line each."""
    taken = [(name, float(seconds) / 60) for name, _, seconds in (line.partition("\t") for line in times)]
    rows = [("job", "minutes", "limit")]
    rows += [(name, f"{took:.1f}", str(minutes.get(name, "none"))) for name, took in taken]
    rows.append(("in all", f"{sum(took for _, took in taken):.1f}", str(sum(minutes.values()))))
    wrong = [f"no limit is stated for the job {name!r}" for name, _ in taken if name not in minutes]
    wrong += [
        f"{name} took {took:.1f} minutes, more than {TOLERATED} times its limit of {minutes[name]}"
        for name, took in taken
        if took > TOLERATED * minutes.get(name, MOST_MINUTES)
    ]
    return [f"{name:<18}{took:>8}{limit:>8}" for name, took, limit in rows], wrong


def main(path):
    """Print the table; return the exit code."""
    lines, wrong = table(Path(path).read_text(encoding="utf-8").splitlines(), limits())
    print(*lines, sep="\n")
    for line in wrong:
        print(line, file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
