import platform
import re
import subprocess
import sys

import pytest

from dfml.core.errors import BadInput
from dfml.nets.device import pick_device


@pytest.mark.parametrize("wanted", ["cpu:abc", "cpu:7", "gpu", "", "cuda:", "cuda:x", "meta"])
def test_a_device_that_is_none_is_one_clear_line(wanted):
    with pytest.raises(BadInput, match=re.escape(repr(wanted))):
        pick_device(wanted)


def test_the_reason_is_told():
    assert pick_device("cpu")[1] == "chosen"
    device, reason = pick_device("auto")
    assert str(device) in ("cpu", "cuda", "mps") and reason


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_a_working_process_keeps_the_memory_that_it_frees():
    """In a process of its own; a page that is taken anew is a minor fault."""
    script = """
import resource, sys, torch
from dfml.nets.device import use_threads
torch.set_num_threads(1) if sys.argv[1] == "plain" else use_threads(1)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    for _ in range(3):
        torch.ones(12, 2**20)  # 48 MiB
work()
before = faults()
work()
print(faults() - before)
"""
    plain, kept = (
        int(subprocess.run([sys.executable, "-c", script, how], capture_output=True, text=True, check=True).stdout)
        for how in ("plain", "kept")
    )
    assert kept < 1000 < 10_000 < plain
