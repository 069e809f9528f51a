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
import resource, torch
from dfml.nets.device import use_threads
def work():
    for _ in range(3):
        torch.ones(12, 2**20)  # 48 MiB
def faults():
    work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
torch.set_num_threads(1)
plain = faults()
use_threads(1)
print(plain, faults())
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    plain, kept = map(int, told.split())
    assert kept < 1000 < 10_000 < plain
