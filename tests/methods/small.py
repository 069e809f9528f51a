"""Every method's demo at a size that trains in a second, and what stands for "little" in a preset."""

import importlib
import importlib.util

from dfml.methods import METHODS
from dfml.training.options import AdaptConfig, MetaTrainingConfig, RecoveringConfig

SMALL = {"width": 8, "test_steps": 3}
SMALL_TRAINING = {
    **SMALL, "iterations": 20, "tasks": 2, "shot": 2, "query": 3, "inner_steps": 1,
    "validate_every": 8, "validation_episodes": 2,
}  # fmt: skip
SMALL_RECOVERING = {
    **SMALL_TRAINING, "recovered": "fresh", "recovered_per_class": 5, "inversion_steps": 3, "latent": 8,
    "generator_width": 8, "consensus": 0,
}  # fmt: skip
SIZES = {
    **SMALL_TRAINING, "iterations": 5, "validate_every": 3, "epochs": 4, "embedding": 4,
    "recovered_per_class": 5, "query_per_class": 3, "inversion_steps": 3, "query_inversion_steps": 2, "five_steps": 2,
    "q": 2, "latent": 8, "generator_width": 8, "warm_up": 2, "warm_start": 2, "candidates": 2,
    "patience": 2, "generate_interval": 2, "boundary_after": 3, "apis": 3, "capacity": 3,
    "watched_episodes": 2, "teachers": 2, "panel": 2, "asked": 2, "visits": 4, "embed_visits": 2,
    "probe": "procedural",
}  # fmt: skip
"""What only sets how much is done: with these a preset's own choices all remain."""


def small(name, **changes):
    """A method, and its demo made so small that it takes a second: by ``TINY`` of the method's own tests."""
    method = METHODS.get(name)
    kinds = ((RecoveringConfig, SMALL_RECOVERING), (MetaTrainingConfig, SMALL_TRAINING), (AdaptConfig, SMALL))
    base = next((sizes for kind, sizes in kinds if issubclass(method.Config, kind)), {})
    tests = f"tests.methods.test_{name.replace('-', '_')}"
    own = getattr(importlib.import_module(tests), "TINY", {}) if importlib.util.find_spec(tests) else {}
    return method, method.preset("demo").override({**base, **own, **changes})


def weights(events):
    """All weights of what a training ended with, as one vector."""
    import torch

    return torch.cat([p.detach().flatten() for p in events[-1].result.net.parameters()])
