"""Few-shot backbones and torchvision's classifiers, registered with timm (``fewshot_...``, ``torchvision_...``)."""

from dfml.nets import backbones, torchvision_networks
from dfml.nets.build import build_network, network_names
from dfml.nets.norm import recorded_statistics, supplied_statistics

__all__ = [
    "backbones", "build_network", "network_names", "recorded_statistics", "supplied_statistics", "torchvision_networks",
]  # fmt: skip
