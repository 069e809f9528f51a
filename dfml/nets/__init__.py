"""Few-shot backbones, registered with timm under names that start with ``fewshot_``."""

from dfml.nets import conv4, resnet, vit
from dfml.nets.build import build_network, network_names
from dfml.nets.norm import recorded_statistics, supplied_statistics

__all__ = ["build_network", "conv4", "network_names", "recorded_statistics", "resnet", "supplied_statistics", "vit"]
