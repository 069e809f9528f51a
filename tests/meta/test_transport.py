import copy

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

from dfml.core.errors import BadInput
from dfml.meta.alignment import align, align_network, match_units, network_layers, reorder
from dfml.meta.fusion import average_states
from dfml.nets.build import build_network

RESNETS = ["fewshot_resnet10", "fewshot_resnet12", "fewshot_resnet18"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def lived_in(architecture, seed, **args):
    """A network whose normalisation layers are not those of a fresh one, so that a wrong order shows."""
    net, g = build_network(architecture, seed=seed, **{"width": 6, **args}), generator(seed)
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.uniform_(0.5, 1.5, generator=g)
                layer.bias.normal_(0, 0.3, generator=g)
                layer.running_mean.normal_(0, 0.3, generator=g)
                layer.running_var.uniform_(0.5, 1.5, generator=g)
            elif isinstance(layer, nn.Conv2d) and layer.bias is not None:
                layer.bias.normal_(0, 0.3, generator=g)
    return net.eval()


def shuffled(net, seed):
    """The same function with its units in a random order."""
    layers, g = network_layers(net), generator(seed)
    sizes = {layer.writes: len(net.state_dict()[layer.weight]) for layer in layers if layer.writes}
    orders = {group: torch.randperm(n, generator=g) for group, n in sizes.items()}
    other = copy.deepcopy(net)
    other.load_state_dict(reorder(net.state_dict(), layers, orders))
    return other


def fused(nets):
    net = copy.deepcopy(nets[0])
    net.load_state_dict(average_states([n.state_dict() for n in nets]))
    return net


@pytest.mark.parametrize("n", [1, 2, 7, 60])
def test_transport_between_equally_many_units_is_the_best_assignment(n):
    cost = torch.rand(n, n, generator=generator(n))
    order = match_units(cost)
    assert sorted(order.tolist()) == list(range(n))
    rows, columns = linear_sum_assignment(cost.numpy())
    assert order.tolist() == rows[np.argsort(columns)].tolist()


def test_equal_units_are_matched_one_to_one_too():
    assert sorted(match_units(torch.ones(9, 9)).tolist()) == list(range(9))


@pytest.mark.stochastic
@pytest.mark.parametrize("architecture", ["fewshot_conv4", *RESNETS])
def test_a_network_fused_with_shuffled_copies_of_itself_stays_what_it_is(architecture, margin):
    net = lived_in(architecture, seed=3)
    x = torch.rand(8, 3, 32, 32, generator=generator())
    copies = [net, *(shuffled(net, seed) for seed in (1, 2))]
    aligned = [align_network(other, net) for other in copies]
    with torch.no_grad():
        wanted = net(x)
        for other in copies:
            margin.alike("shuffled", other(x), wanted, atol=1e-4, rtol=1e-5)
        margin.alike("aligned and fused", fused(aligned)(x), wanted, atol=1e-5, rtol=1e-5)
        margin.at_least("fused as they are", (fused(copies)(x) - wanted).abs().max(), 1e-2)


@pytest.mark.stochastic
@pytest.mark.parametrize("architecture", ["fewshot_conv4", *RESNETS])
def test_aligning_to_another_network_changes_the_order_and_not_the_function(architecture, margin):
    net, reference = lived_in(architecture, seed=1), lived_in(architecture, seed=2)
    aligned, x = align_network(net, reference), torch.rand(8, 3, 32, 32, generator=generator())
    with torch.no_grad():
        margin.alike("function", aligned(x), net(x), rtol=1e-3, atol=1e-3)

    def distance(a):
        return sum((p - q).square().sum() for p, q in zip(a.parameters(), reference.parameters(), strict=True))

    margin.at_most("distance over before", (distance(aligned) / distance(net)).detach(), 0.99, null=1)


@pytest.mark.parametrize("alike", ["body.3", "shortcut.0"])
def test_units_of_a_block_are_told_apart_by_its_body_and_by_its_shortcut(alike):
    """Both write to the same units: where one of them makes no difference between units, the other decides."""
    net = lived_in("fewshot_resnet10", seed=3)
    block = next(
        name for name, part in net.named_modules() if isinstance(getattr(part, "shortcut", None), nn.Sequential)
    )
    part, place = alike.split(".")
    convolution, norm = (net.get_submodule(f"{block}.{part}.{int(place) + more}") for more in (0, 1))
    with torch.no_grad():
        convolution.weight.copy_(convolution.weight[:1].expand_as(convolution.weight))
        for each in (norm.weight, norm.bias):
            each.fill_(0.5)
    back = align_network(shuffled(net, 1), net).state_dict()
    assert all(torch.equal(back[key], tensor) for key, tensor in net.state_dict().items() if block in key)


def test_heads_of_other_sizes_and_input_sizes_of_several_places_are_aligned():
    net = lived_in("fewshot_conv4", seed=1, num_classes=7, img_size=64)
    reference = lived_in("fewshot_conv4", seed=2, num_classes=5, img_size=64)
    x = torch.rand(4, 3, 64, 64, generator=generator())
    with torch.no_grad():
        torch.testing.assert_close(align_network(net, reference)(x), net(x), rtol=1e-3, atol=1e-3)


def mlp(seed, sizes=(1, 50, 50, 1)):
    g = generator(seed)
    return [(torch.randn(b, a, generator=g), torch.randn(b, generator=g)) for a, b in zip(sizes, sizes[1:])]  # noqa: B905


def through(layers, x):
    for position, (weight, bias) in enumerate(layers):
        x = nn.functional.linear(x, weight, bias)
        x = torch.relu(x) if position + 1 < len(layers) else x
    return x


def mean(networks):
    return [tuple(torch.stack(parts).mean(0) for parts in zip(*layer)) for layer in zip(*networks)]  # noqa: B905


@pytest.mark.parametrize("biases", [[5.0, 0.0], [0.0, 5.0]])
def test_units_of_equal_weights_are_told_apart_by_their_biases(biases):
    last = torch.ones(1, 2), None
    mine, wanted = ((torch.ones(2, 2), torch.tensor(each)) for each in (biases, [0.0, 5.0]))
    (_, found), _ = align([mine, last], [wanted, last])
    assert found.tolist() == [0.0, 5.0]


def test_what_is_smallest_is_the_sum_of_squared_distances():
    """In place the units are 0 and 3 apart, changed 2 and 2: more by the distance, less by its square."""
    mine, wanted = torch.tensor([[0.0, 0.0], [-0.25, 3.9375**0.5]]), torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    last = torch.ones(1, 2), None
    (first, _), _ = align([(mine, None), last], [(wanted, None), last])
    assert torch.equal(first, mine.flip(0))


def test_a_plain_network_is_aligned_from_a_list_of_its_layers():
    original = mlp(0)
    x = torch.linspace(-5, 5, 40).unsqueeze(1)
    orders = [torch.randperm(50, generator=generator(seed)) for seed in (1, 2)]
    (w1, b1), (w2, b2), (w3, b3) = original
    moved = [(w1[orders[0]], b1[orders[0]]), (w2[orders[1]][:, orders[0]], b2[orders[1]]), (w3[:, orders[1]], b3)]
    assert torch.allclose(through(moved, x), through(original, x), rtol=1e-4, atol=1e-4)
    back = align(moved, original)
    assert all(torch.equal(p, q) for a, b in zip(back, original, strict=True) for p, q in zip(a, b, strict=True))
    assert torch.equal(through(mean([original, back]), x), through(original, x))
    assert not torch.allclose(through(mean([original, moved]), x), through(original, x), atol=1)
    assert all(bias is None for _, bias in align([(w, None) for w, _ in moved], [(w, None) for w, _ in original]))


def test_networks_of_other_shapes_are_refused():
    with pytest.raises(BadInput, match="networks of one shape"):
        align(mlp(0), mlp(0, (1, 40, 50, 1)))
    with pytest.raises(BadInput, match=r"networks of one shape: blocks.0.0.weight is \[6"):
        align_network(lived_in("fewshot_conv4", 0), lived_in("fewshot_conv4", 0, width=8))


def test_where_connections_are_not_known_units_stay_in_place():
    assert network_layers(nn.Linear(2, 2)) == []


@pytest.mark.parametrize(
    ("architecture", "moved"), [("test_vit", "blocks.0.mlp.fc1.weight"), ("test_resnet", "layer1.0.conv1.weight")]
)
def test_units_inside_the_blocks_of_timms_networks_find_their_places(architecture, moved):
    """A copy whose hidden units were shuffled computes the same, and is put back into order."""
    size = {"img_size": 32} if "vit" in architecture else {}
    net = build_network(architecture, seed=1, num_classes=4, **size).eval()
    layers = network_layers(net)
    state = net.state_dict()
    orders = {x.writes: torch.randperm(len(state[x.weight]), generator=generator(3)) for x in layers if x.writes}
    shuffled = build_network(architecture, seed=2, num_classes=4, **size).eval()
    shuffled.load_state_dict(reorder(state, layers, orders))
    x = torch.rand(3, 3, 32, 32, generator=generator(4))
    with torch.no_grad():
        assert torch.allclose(shuffled(x), net(x), atol=1e-4)
    assert not torch.equal(shuffled.state_dict()[moved], state[moved])
    back = align_network(shuffled, net).state_dict()
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("count", [1, 2, 17, 40])
def test_a_mean_of_states_that_come_in_turn_has_the_bytes_of_one_of_them_all(count):
    shapes = {"one": (), "few": (3,), "filters": (8, 3, 3, 3), "many": (130, 7)}
    states = [
        {
            **{name: torch.randn(shape, generator=generator(n)) for name, shape in shapes.items()},
            "steps": torch.tensor(n),
        }
        for n in range(count)
    ]
    states[0]["filters"] = states[0]["filters"].contiguous(memory_format=torch.channels_last)
    mean = average_states(iter(states))
    for name in shapes:
        assert torch.equal(mean[name], torch.stack([state[name] for state in states]).mean(0))
    assert mean["steps"] == 0
