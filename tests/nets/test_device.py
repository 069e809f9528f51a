import pytest

from dfml.core.errors import BadInput
from dfml.nets.device import pick_device


@pytest.mark.parametrize("wanted", ["cpu:abc", "cpu:7", "gpu", "", "cuda:", "cuda:x", "meta"])
def test_a_device_that_is_none_is_one_clear_line(wanted):
    with pytest.raises(BadInput, match="not available here"):
        pick_device(wanted)


def test_the_reason_is_told():
    assert pick_device("cpu")[1] == "chosen"
    device, reason = pick_device("auto")
    assert str(device) in ("cpu", "cuda", "mps") and reason
