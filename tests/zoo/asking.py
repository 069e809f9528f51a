"""How the tests of remote zoos ask the misbehaving server."""

import torch

from dfml.zoo.remote.remote_zoo import RemoteConfig, RemoteZoo


def config(**changes):
    return RemoteConfig(**{"backoff": 0.01, "deadline": 30, "read_timeout": 20, **changes})


def api(stub, **changes):
    return RemoteZoo(stub.url, config(**changes)).api(0)


def pictures(n=3):
    return torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def one_line(error):
    text = str(error.value)
    assert "\n" not in text and text.endswith(".")
    return text
