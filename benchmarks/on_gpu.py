"""What only a GPU can tell, in calls of a few minutes: python benchmarks/on_gpu.py --out DIR [--minutes 8].

Each part is measured once and kept in DIR; a call that runs out of time is given again and goes on. Parts: the tests
marked `cuda`; recoveries stacked and one by one inside meta-training; all 100 teachers of a zoo together; the pixels
inverter under bf16 autocast against float32.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
ZOO = "cifar-fs-conv4"
LEAST_SECONDS = 20


def parts(out: Path, device: str, steps: int, together: int) -> dict[str, list[str]]:
    """The commands, by name; the quickest first."""
    own, dfml = [sys.executable, __file__, "--out", str(out), "--device", device], [sys.executable, "-m", "dfml"]
    inversion = ["bench", "inversion", "--methods", "pixels", "--transformers", "none", "--device", device]
    return {
        "precision": [*own, "--only-precision", "--steps", str(steps)],
        "stacked": [*dfml, "bench", "scale", "--only", "stacked", "--work", str(out / "scale"), "--out", str(out)],
        "together": [*dfml, *inversion, "--together", str(together), "--out", str(out)],
        "tests": [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider"],
    }


def precision(device: str, steps: int) -> list[dict]:
    """Seconds of one recovery, and how far its teacher agrees, in float32 and under bf16 autocast."""
    sys.path.insert(0, str(REPOSITORY))
    import torch

    from dfml.core.events import Done
    from dfml.inversion import INVERTERS
    from dfml.inversion.recipe import Recipe
    from dfml.reports.recovery import invert_teachers
    from dfml.zoo import open_zoo

    zoo, cls, rows = open_zoo(ZOO), INVERTERS.get("pixels"), []
    inverter = cls(cls.preset("demo").override({"steps": steps}))
    for number, half in enumerate((False, False, True)):  # the first pays for what torch sets up once
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half):
            began = time.perf_counter()
            events = list(invert_teachers(Recipe(zoo, inverter, device=torch.device(device)), zoo.ids[:1]))
        (found,) = next(event.result for event in reversed(events) if isinstance(event, Done))
        row = {"bf16": half, "steps": steps, "device": device, "seconds": time.perf_counter() - began}
        rows += [{**row, "teacher_accuracy": found.report["teacher_accuracy"]}] * bool(number)
    return rows


def main() -> int:
    """Do what is left in the time given; 0 when all is measured, 1 when something failed, 75 when it goes on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--together", type=int, default=100)
    parser.add_argument("--only-precision", action="store_true", help="One part, in this process.")
    parser.add_argument("--parts", help="With commas; all, if left out.")
    asked = parser.parse_args()
    if asked.only_precision:
        print(json.dumps(precision(asked.device, asked.steps)))
        return 0
    end, failed = time.monotonic() + 60 * asked.minutes, False
    out = asked.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    for name, command in parts(out, asked.device, asked.steps, asked.together).items():
        kept, left = out / f"{name}.done.json", end - time.monotonic()
        if kept.exists() or (asked.parts and name not in asked.parts.split(",")):
            continue
        if left < LEAST_SECONDS:
            return 75
        began = time.monotonic()
        try:
            done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=left, check=False)
        except subprocess.TimeoutExpired:
            print(f"{name}: out of time, to be gone on with")
            return 75
        print(f"{name}: exit {done.returncode} after {time.monotonic() - began:.0f} s", done.stdout[-600:], sep="\n")
        if done.returncode:
            print(done.stderr[-1500:])
            failed = True
            continue
        kept.write_text(json.dumps({"command": command[1:], "seconds": time.monotonic() - began, "said": done.stdout}))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
