import pytest


@pytest.fixture(autouse=True)
def _without_assets(tiny_probe):
    """Tasks are embedded by a tiny probe here."""


@pytest.fixture(scope="module")
def grey_zoo(grey_patterns, tmp_path_factory):
    from dfml.zoo import open_zoo
    from dfml.zoo.build.pretrain import PretrainConfig, pretrain_zoo

    out = tmp_path_factory.mktemp("zoos") / "grey"
    pretrain_zoo(
        grey_patterns, out, ["fewshot_conv4"], PretrainConfig(models=2, epochs=2, batch=16, width=8, flip=False, seed=2)
    )
    return open_zoo(out)
