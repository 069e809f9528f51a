"""A zoo of teachers that have little in common: ways, sizes, channels, architectures, access. Their weights are random.

A network without training says as little as it can; what is tested with it is who is asked what, not who learns.
"""

import torch

from dfml.nets.build import build_network
from dfml.zoo import open_zoo
from dfml.zoo.teacher import save_network
from dfml.zoo.zoo import write_zoo

CONV4 = {"architecture": "fewshot_conv4", "width": 4}
TEACHERS = {
    "three": {**CONV4, "way": 3},
    "five": {**CONV4, "way": 5},
    "twenty": {**CONV4, "way": 20},
    "grey": {**CONV4, "way": 5, "channels": 1, "size": 28},
    "large": {**CONV4, "way": 5, "size": 64},
    "byob": {"architecture": "test_byobnet", "way": 5},
    "byob-2": {"architecture": "test_byobnet", "way": 4},
    "vit": {"architecture": "test_vit", "way": 5, "img_size": 32},
    "vit-2": {"architecture": "test_vit", "way": 6, "img_size": 32},
    "thousand": {"architecture": "test_byobnet", "way": 1000},
    "asked": {**CONV4, "way": 5, "access": "queries"},
}


def save_teacher(folder, architecture, way, *, size=32, channels=3, access="weights", accuracy=0.5, **args):
    """Write one teacher with random weights and statistics."""
    args = {"num_classes": way, "in_chans": channels, **args}
    if architecture.startswith("fewshot_"):
        args["img_size"] = size
    net = build_network(architecture, seed=sum(map(ord, folder.name)), **args).eval()
    with torch.no_grad():
        for buffer in net.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5)
    details = {"access": access, "accuracy": accuracy, "classes": [f"{folder.name} {slot}" for slot in range(way)]}
    looks = {"mean": [0.5] * channels, "std": [0.25] * channels, "size": size}
    save_network(folder, net, architecture=architecture, model_args=args, details=details, **looks)
    return net


def motley_zoo(folder, names=tuple(TEACHERS)):
    """Write a zoo of some of ``TEACHERS``, and open it."""
    for position, name in enumerate(names):
        save_teacher(folder / name, **TEACHERS[name], accuracy=0.5 + position / 100)
    write_zoo(folder, models=list(names), name="motley", shared_class_names=True)
    return open_zoo(folder)
