import threading

import pytest
import timm
import torch

import dfml.nets  # noqa: F401 - registers the networks
from dfml.core.errors import BadInput
from dfml.core.known_networks import own_networks, timm_networks, torchvision_networks
from dfml.nets import build_network, network_names, recorded_statistics, supplied_statistics
from dfml.nets.build import check_model_args

NAMES = ["fewshot_conv4", "fewshot_resnet10", "fewshot_resnet12", "fewshot_resnet18"]


def test_the_registered_names():
    assert network_names() == sorted([*NAMES, "fewshot_vit"])
    assert all(timm.is_model(name) for name in network_names())


def test_names_read_from_the_text_of_the_files_are_those_that_timm_registers():
    names = {*own_networks(), *timm_networks(), *torchvision_networks()}
    assert names == timm.models._registry._model_entrypoints.keys()


def test_conv4_has_the_size_of_the_papers():
    assert sum(p.numel() for p in build_network("fewshot_conv4").parameters()) == 29_541


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bn", ["running", "batch"])
@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 28), (3, 84)])
def test_every_network_takes_every_input(name, bn, channels, size):
    net = build_network(name, num_classes=7, in_chans=channels, img_size=size, width=8, bn=bn)
    x = torch.rand(4, channels, size, size)
    logits = net(x)
    assert logits.shape == (4, 7)
    features = net.forward_head(net.forward_features(x), pre_logits=True)
    assert features.shape == (4, net.num_features)
    assert net.get_classifier().in_features == net.num_features
    logits.sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    assert bool(list(net.buffers())) == (bn == "running"), "the batch form must have no buffers"
    net.reset_classifier(3)
    assert net(x).shape == (4, 3)
    net.reset_classifier(0)
    assert net(x).shape == (4, net.num_features)


@pytest.mark.parametrize("name", NAMES)
def test_weights_depend_on_the_seed_alone(name):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = build_network(name, seed=3, width=8)
    assert torch.equal(torch.random.get_rng_state(), before), "the caller's random state is left alone"
    torch.rand(3)
    again, other = build_network(name, seed=3, width=8), build_network(name, seed=4, width=8)
    weights = [net.state_dict()["fc.weight"] for net in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("name", NAMES)
def test_both_forms_agree_when_the_statistics_are_the_batch_s(name):
    running, batch = (build_network(name, seed=1, width=8, bn=bn) for bn in ("running", "batch"))
    assert torch.equal(running.state_dict()["fc.weight"], batch.state_dict()["fc.weight"])
    x = torch.rand(6, 3, 32, 32)
    torch.testing.assert_close(running.train()(x), batch(x))
    torch.testing.assert_close(batch.eval()(x), batch.train()(x), msg="eval mode changes nothing without buffers")


def test_supplied_statistics_make_pictures_independent():
    net = build_network("fewshot_conv4", width=8, bn="batch")
    support, query = torch.rand(10, 3, 32, 32), torch.rand(6, 3, 32, 32)
    with recorded_statistics(net) as statistics:
        own = net(support)
    assert len(statistics) == 4
    with supplied_statistics(net, statistics):
        torch.testing.assert_close(net(support), own)
        together = net(query)
        alone = torch.cat([net(one[None]) for one in query])
    torch.testing.assert_close(together, alone)
    together.sum().backward()
    assert net.blocks[0][0].weight.grad.abs().sum() > 0, "gradients also flow through the support set's statistics"
    assert not torch.allclose(net(query), together), "after the block the batch's own statistics count again"
    with pytest.raises(ValueError, match="3 statistics for 4"), supplied_statistics(net, statistics[:3]):
        pass
    assert len(statistics) == 4, "nothing is recorded after the block"


def test_the_batch_form_works_with_functional_transforms():
    net = build_network("fewshot_conv4", width=4, bn="batch")
    params = dict(net.named_parameters())

    def loss(params, x):
        return torch.func.functional_call(net, params, (x,)).square().mean()

    x = torch.rand(3, 5, 3, 32, 32)
    batched = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(params, x)
    for position in range(3):
        single = torch.func.grad(loss)(params, x[position])
        for name, value in single.items():
            torch.testing.assert_close(batched[name][position], value, atol=1e-5, rtol=1e-4)


def test_pooled_conv4_takes_several_sizes_with_one_set_of_weights():
    net = build_network("fewshot_conv4", width=8, global_pool="max")
    assert net(torch.rand(2, 3, 32, 32)).shape == net(torch.rand(2, 3, 84, 84)).shape == (2, 5)


@pytest.mark.parametrize(
    ("name", "args", "says"),
    [
        ("fewshot_conv5", {}, "Did you mean 'fewshot_conv4'"),
        ("local-dir:/tmp", {}, "unknown architecture"),
        ("hf-hub:timm/resnet18", {}, "unknown architecture"),
        ("fewshot_conv4", {"widht": 8}, "Did you mean 'width'"),
        ("fewshot_conv4", {"img_size": 8}, "at least 16"),
        pytest.param(
            "fewshot_conv4", {"width": 0}, "cannot build", marks=pytest.mark.filterwarnings("ignore::UserWarning")
        ),
        ("fewshot_conv4", {"width": 2**40}, "not allowed"),
        ("fewshot_conv4", {"width": "wide"}, "cannot build"),
        ("fewshot_conv4", {"bn": "none"}, "'running' or 'batch'"),
        ("fewshot_conv4", {"global_pool": "avg"}, "global_pool"),
        ("fewshot_resnet12", {"width": 7}, "even"),
        ("fewshot_resnet10", {"depth": 18}, "takes no argument 'depth'"),
    ],
)
def test_impossible_networks_give_one_line(name, args, says):
    with pytest.raises(BadInput, match=says) as caught:
        build_network(name, **args)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "args",
    [
        {"checkpoint_path": "/tmp/x.pth"},
        {"checkpoint": "x"},
        {"pretrained": True},
        {"pretrained_cfg": "x"},
        {"pretrained_cfg_overlay": {"file": "x"}},
        {"cache_dir": "x"},
        {"features_only": True},
        {"scriptable": True},
        {"width": None},
        {"width": {"a": 1}},
        {"width": ["a"]},
        {"width": float("nan")},
    ],
    ids=str,
)
def test_arguments_that_could_make_timm_read_files_are_refused(args):
    with pytest.raises(BadInput, match="is not allowed"):
        check_model_args(args)


def test_a_network_larger_than_any_machine_is_refused_before_it_takes_memory():
    with pytest.raises(BadInput, match="parameters; at most"):
        build_network("fewshot_conv4", width=20000)


def test_channel_statistics_are_torch_s_own_with_their_gradient_also_under_vmap():
    from dfml.nets.norm import channel_statistics

    x = torch.randn(5, 7, 3, 6, 6, dtype=torch.double, generator=torch.Generator().manual_seed(0)) + 3
    for layout in (torch.contiguous_format, torch.channels_last):
        one = x[0].contiguous(memory_format=layout).requires_grad_(True)
        mean, var = channel_statistics(one)
        torch.testing.assert_close((var, mean), torch.var_mean(one, dim=(0, 2, 3), correction=0))
        torch.autograd.gradcheck(channel_statistics, one)
    means, variances = torch.vmap(channel_statistics)(x)
    for k in range(5):
        torch.testing.assert_close((means[k], variances[k]), channel_statistics(x[k]))
    weights = torch.randn(5, 3, dtype=torch.double)

    def weighed(pictures):
        mean, var = torch.vmap(channel_statistics)(pictures)
        return (weights * (mean + 2 * var)).sum()

    (together,) = torch.autograd.grad(weighed(x.requires_grad_(True)), x)
    for k in range(5):
        one = x[k].detach().requires_grad_(True)
        mean, var = channel_statistics(one)
        (alone,) = torch.autograd.grad((weights[k] * (mean + 2 * var)).sum(), one)
        torch.testing.assert_close(together[k], alone)


@pytest.mark.parametrize("bn, size", [("running", 32), ("batch", 28)])
def test_conv4_is_to_the_last_bit_the_papers_order_of_relu_and_pooling(bn, size):
    net = build_network("fewshot_conv4", width=8, img_size=size, bn=bn).train(bn == "batch")
    x = torch.rand(6, 3, size, size, generator=torch.Generator().manual_seed(0))
    found = []
    for swapped in (False, True):
        maps = pixels = x.clone().requires_grad_(True)
        for conv, norm, pool, relu in net.blocks:
            maps = norm(conv(maps))
            maps = pool(relu(maps)) if swapped else relu(pool(maps))
        wanted = [pixels, *net.blocks.parameters()]
        found.append([maps, *torch.autograd.grad(maps.square().sum(), wanted)])
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))
    assert torch.equal(found[0][0], net.forward_features(x))


def test_threads_that_build_at_a_time_get_the_weights_of_the_seed():
    def built():
        return build_network("fewshot_conv4", num_classes=5, width=4, in_chans=3, img_size=16, seed=3).state_dict()

    wanted, found = built(), []
    threads = [threading.Thread(target=lambda: found.extend(built() for _ in range(20))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 60
    assert all(torch.equal(weights[name], wanted[name]) for weights in found for name in wanted)
