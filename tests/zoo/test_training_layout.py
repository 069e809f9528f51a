"""Layouts: of one channel, strides decide what a convolution does, not ``is_contiguous``."""

import pytest
import torch

from dfml.zoo.training import in_layout


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_have_the_strides_of_their_layout(channels):
    # As they come from a packed array of height, width, channels.
    x = torch.rand(6, 8, 8, channels).permute(0, 3, 1, 2)
    plain = in_layout(x, torch.contiguous_format)
    assert torch.equal(plain, x) and plain.stride() == (64 * channels, 64, 8, 1)
    last = in_layout(x, torch.channels_last)
    assert torch.equal(last, x) and last.is_contiguous(memory_format=torch.channels_last)
