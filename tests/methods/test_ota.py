import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.events import Note
from dfml.methods import METHODS
from dfml.zoo import open_zoo
from dfml.zoo.teacher import save_network
from dfml.zoo.zoo import write_zoo
from tests import conditions
from tests.meta.test_transport import lived_in, shuffled
from tests.methods.small import small

PLAIN = {"mean": [0.0] * 3, "std": [1.0] * 3}


@pytest.fixture
def shuffled_zoo(tmp_path):
    """One network three times, its filters each time in another order."""
    net = lived_in("fewshot_conv4", seed=5, width=8)
    known = {"model_args": {"num_classes": 5, "in_chans": 3, "img_size": 32, "width": 8}, "details": {}, **PLAIN}
    nets = {"a": net, "b": shuffled(net, 1), "c": shuffled(net, 2)}
    for name, other in nets.items():
        save_network(tmp_path / "z" / name, other, architecture="fewshot_conv4", **known)
    write_zoo(tmp_path / "z", models=list(nets))
    return open_zoo(tmp_path / "z")


def logits(model, net=None):
    """With the batch's own statistics, as a meta-model computes; of a teacher's weights, where one is given."""
    x = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(conditions.seed()))
    params = {**model.params} if net is None else {n: dict(net.named_parameters())[n] for n in model.params}
    with torch.no_grad():
        return torch.func.functional_call(model.net, params, (x,))


@pytest.mark.stochastic
@pytest.mark.parametrize("reference", ["a", "b", None])
def test_shuffled_copies_of_one_network_are_fused_to_it_and_averaging_ruins_it(run, shuffled_zoo, reference, margin):
    model = run(*small("ota", head="average", reference=reference), zoo=shuffled_zoo)[-1].result
    wanted = logits(model, shuffled_zoo.teacher("a").net)
    margin.alike("fused", logits(model), wanted, atol=1e-5, rtol=1e-5)
    assert model.details["reference"] == (reference or model.details["reference"])
    plain = run(*small("average", head="average"), zoo=shuffled_zoo)[-1].result
    margin.at_least("averaged", (logits(plain) - wanted).abs().max(), 1e-2)


@pytest.mark.stochastic
def test_dro_fuses_shuffled_copies_only_once_they_are_aligned(run, shuffled_zoo, margin):
    settings = {"start": "zero", "fit": 0.99, "epochs": 20, "head": "average", "embedding_lr": 0.001}
    wanted = logits(run(*small("ota", head="average", reference="a"), zoo=shuffled_zoo)[-1].result)

    def off(align):
        return float((logits(run(*small("dro", **settings, align=align), zoo=shuffled_zoo)[-1].result) - wanted).norm())

    size = wanted.norm()
    margin.at_most("off where aligned", off("ota") / size, 0.1)
    margin.at_least("off where not", off("none") / size, 0.2)
    with pytest.raises(BadInput, match="mode=offline"):
        run(*small("dro", mode="online", align="ota"), zoo=shuffled_zoo)


def test_the_reference_is_drawn_from_the_seed(run, tiny_zoo):
    drawn = {run(*small("ota"), seed=seed)[-1].result.details["reference"] for seed in range(8)}
    assert len(drawn) > 1 and drawn <= set(tiny_zoo.ids)
    with pytest.raises(BadInput, match="has no teacher 'nobody'"):
        run(*small("ota", reference="nobody"))


def test_the_head_is_fresh_unless_told_otherwise(run, tiny_zoo):
    fresh, random = run(*small("ota"))[-1].result, run(*small("random"))[-1].result
    assert torch.equal(fresh.net.fc.weight, random.net.fc.weight)
    averaged = run(*small("ota", head="average"))[-1].result
    assert torch.allclose(averaged.net.fc.bias, torch.stack([t.net.fc.bias for t in tiny_zoo]).mean(0), atol=1e-6)


def test_another_architecture_is_refused_and_a_damaged_teacher_left_out(run, zoo_copy):
    with pytest.raises(BadInput, match="ota: no teacher .* set architecture"):
        run(*small("ota", width=16))
    (zoo_copy / "001" / "model.safetensors").write_bytes(b"junk")
    events = run(*small("ota"), zoo=open_zoo(zoo_copy))
    assert any(isinstance(e, Note) and e.kind == "rejected" and "001" in e.text for e in events)
    with pytest.raises(BadInput, match="'001' cannot be read"):
        run(*small("ota", reference="001"), zoo=open_zoo(zoo_copy))


def test_residual_teachers_are_fused_too(run, tmp_path):
    known = {"model_args": {"num_classes": 5, "in_chans": 3, "img_size": 32, "width": 4}, "details": {}, **PLAIN}
    for seed in (0, 1):
        net = lived_in("fewshot_resnet10", seed, width=4)
        save_network(tmp_path / "z" / f"{seed}", net, architecture="fewshot_resnet10", **known)
    write_zoo(tmp_path / "z", models=["0", "1"])
    changes = {"architecture": "fewshot_resnet10", "width": 4}
    model = run(*small("ota", **changes), zoo=open_zoo(tmp_path / "z"))[-1].result
    assert METHODS.get("ota").one_model and model.architecture == "fewshot_resnet10"
