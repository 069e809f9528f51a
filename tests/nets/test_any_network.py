"""A meta-model of any of timm's networks computes what that network does, with the statistics of the batch at hand."""

import pytest
import timm
import torch
from torch import nn

from dfml.nets.any_network import AnyNetwork, BatchStatisticsNorm2d, state_for


def batch_norms(net):
    return [part for part in net.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001


@pytest.mark.parametrize("architecture", ["test_byobnet", "test_efficientnet", "test_vit", "shvit_s1"])
def test_it_answers_as_the_network_that_it_is_made_of(architecture):
    """Of some the last layer reads what a normalisation before it writes: that is part of the features, too."""
    base, net = (
        timm.create_model(architecture, num_classes=3),
        AnyNetwork(architecture, {"num_classes": 3, "bn": "batch"}),
    )
    base.eval()
    for part in batch_norms(base):
        nn.init.uniform_(part.weight, 0.5, 1.5)
        nn.init.uniform_(part.bias, -0.5, 0.5)
        part.train()
    given = state_for(base, net)
    net.load_state_dict({name: given[name] for name in net.state_dict()})
    side = 160 if architecture == "test_vit" else 64
    x = torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(net(x), base(x), atol=1e-5)
        assert net(x[:1]).isfinite().all(), "one image alone is answered, too"
    assert all(isinstance(part, BatchStatisticsNorm2d) for part in batch_norms(net))
