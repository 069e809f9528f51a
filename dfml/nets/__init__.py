"""Few-shot backbones, registered with timm under names that start with ``fewshot_``."""

from dfml.nets import backbones
from dfml.nets.build import build_network, network_names
from dfml.nets.norm import recorded_statistics, supplied_statistics

__all__ = ["backbones", "build_network", "network_names", "recorded_statistics", "supplied_statistics"]
