"""Layouts: of a single channel, strides decide what a convolution does, not ``is_contiguous``."""

import pytest
import timm
import torch

import dfml.nets  # noqa: F401 - registers the networks


@pytest.mark.parametrize("bn", ["running", "batch"])
def test_a_resnet_computes_grey_pictures_in_the_plain_layout_whatever_their_strides(bn):
    net = timm.create_model("fewshot_resnet10", num_classes=5, in_chans=1, img_size=16, width=4, bn=bn)
    seen = []
    first = next(m for m in net.modules() if isinstance(m, torch.nn.Conv2d))
    first.register_forward_pre_hook(lambda _, given: seen.append(given[0].stride()))
    # As they come from a packed array of height, width, channels.
    x = torch.rand(6, 16, 16, 1).permute(0, 3, 1, 2)
    assert x.is_contiguous() and x.stride() != (256, 256, 16, 1)
    net(x).sum().backward()
    assert seen == [(256, 256, 16, 1)]
