"""A worker whose "training" is a small chain of numbers: fast, deterministic, resumable.

Run as a script it is a drop-in for ``python -m dfml.runs.worker``; the config says how to behave.
"""

import hashlib
import json
import os
import signal
import sys
import time
import types
from pathlib import Path

import numpy as np

import dfml
from dfml.core.errors import BadInput
from dfml.core.events import Checkpoint, Done, Embedding, Images, Note, Progress, SafePoint, Scalars
from dfml.runs import driver
from dfml.runs.jobs import JOBS


def chain(value: float) -> float:
    digest = hashlib.sha256(repr(value).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def train(context):
    """steps, sleep, every (checkpoint), safe (points), images (every), slow, kill_at, fail_at, bad, hang, trace."""
    config = context.spec.config
    state = context.state or {"step": 0, "value": 0.5 + context.spec.seed}
    value = state["value"]
    _trace(config, "start", context.folder.name)
    yield Note(0, "left out teacher 007", "rejected")  # said again by every resume, recorded once
    if config.get("bad"):
        raise BadInput("no zoo 'x': give one that exists.")
    for step in range(state["step"] + 1, config["steps"] + 1):
        value = chain(value)
        yield Progress(step, config["steps"], "counting")
        for _ in range(20 if step == config.get("slow") and not context.state else 0):
            time.sleep(0.1)
            yield Progress(step, config["steps"], "counting slowly")
        yield Scalars(step, {"train/loss": value, "train/odd": float("nan") if step == 2 else 1.0})
        if config.get("images") and step % config["images"] == 0:
            yield Images(step, "pictures", np.full((6, 3, 8, 8), value, np.float32), [0, 0, 1, 1, 2, 2])
        if step == config.get("kill_at") and not context.state:
            os.kill(os.getpid(), signal.SIGKILL)
        if step == config.get("fail_at") and not context.state:
            raise ValueError("the numbers\nran away")
        if step == config.get("hang") and not context.state:
            time.sleep(config.get("hang_seconds", 60))
        if step % config.get("every", 10**9) == 0:
            yield Note(step, f"passed {step}", "mark")
            yield Embedding(step, ["a", "b"], np.array([[value, 1.23456789], [0.0, 1.0]]))
            yield Checkpoint(step, {"step": step, "value": value})
        elif config.get("safe"):
            yield SafePoint(step, lambda now=(step, value): dict(zip(("step", "value"), now, strict=True)))
        time.sleep(config.get("sleep", 0.0))
    _trace(config, "end", context.folder.name)
    yield Done({"final": value})


def _trace(config, word, name):
    if config.get("trace"):
        with open(config["trace"], "a") as file:
            file.write(json.dumps([word, name, time.time()]) + "\n")


def install():
    """Put the fake in place of training; returns what undoes it."""
    before = (JOBS["train"], driver.prepare)
    JOBS["train"] = train
    driver.prepare = lambda spec, wanted: ("cpu", "chosen by the test")

    def undo():
        JOBS["train"], driver.prepare = before

    return undo


def leave_out_networks():
    """Let ``dfml.nets.checkpoint`` be loaded without timm, which takes seconds: this training has no network."""
    package = types.ModuleType("dfml.nets")
    package.__path__ = [str(Path(dfml.__path__[0], "nets"))]
    sys.modules["dfml.nets"] = package


if __name__ == "__main__":
    leave_out_networks()
    install()
    from dfml.runs.worker import main

    sys.exit(main())
