"""The device line: found by a short process of its own, so that the server never loads torch or CUDA."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

import streamlit as st

from dfml.core.paths import REPOSITORY

MANNERS = "import os, time; getattr(os, 'nice', int)(10); time.sleep(1.5)"
QUESTION = """
import json, torch
from dfml.nets.device import available_devices, pick_device
print(json.dumps({"devices": available_devices(), "auto": str(pick_device("auto")[0]),
                  "reason": pick_device("auto")[1], "threads": torch.get_num_threads()}))
"""


class DeviceQuestion:
    """A process that is asked once which devices there are; ``answer`` is None until it returns."""

    def __init__(self, question: str = QUESTION) -> None:
        self._file = tempfile.TemporaryFile("w+")
        self._answer: dict | None = None
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        # Late and at a low priority: the first page matters more than this line.
        command = [sys.executable, "-c", f"{MANNERS}\n{question}"]
        self._process = subprocess.Popen(
            command, stdout=self._file, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment
        )

    def answer(self) -> dict | None:
        """Devices (best first), the one that ``auto`` takes, the reason, the number of threads; or None."""
        if self._answer is None and self._process.poll() is not None:
            self._file.seek(0)
            text = self._file.read().strip().splitlines()
            try:
                self._answer = json.loads(text[-1])
            except (IndexError, ValueError):
                self._answer = {"devices": ["cpu"], "auto": "cpu", "reason": "torch did not start", "threads": 0}
        return self._answer


@st.cache_resource(show_spinner=False)
def device_question() -> DeviceQuestion:
    """The one question of this server."""
    return DeviceQuestion()


def device_options() -> list[str]:
    """What a device chooser offers now: ``auto`` and whatever has been found so far."""
    known = device_question().answer()
    return ["auto", *(known["devices"] if known else ["cpu"])]


def describe_device(known: dict) -> str:
    """The line of the sidebar."""
    if known["auto"] == "cpu":
        threads = f", {known['threads']} thread{'s' * (known['threads'] > 1)}" if known["threads"] else ""
        return f"CPU{threads}: {known['reason']}"
    return f"{known['auto'].upper()}: {known['reason']}"
