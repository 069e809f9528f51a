import pytest
import torch

from dfml.nets.generator import ImageGenerator, StackedModules


def count(net):
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(("size", "million"), [(32, 2.33), (84, 14.73)])
def test_the_published_sizes(size, million):
    assert count(ImageGenerator((3, size, size))) / 1e6 == pytest.approx(million, abs=0.005)


def test_the_demo_s_generator_has_at_most_0_3_million_parameters():
    from dfml.inversion import INVERTERS

    for name in ("generator", "conditional-generator", "meta-generator"):
        cfg = INVERTERS.get(name).preset("demo")
        classes = 5 if name == "conditional-generator" else 0
        assert count(ImageGenerator((3, 32, 32), latent=cfg.latent, width=cfg.width, classes=classes)) <= 300_000


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 33, 30), (3, 84, 84)])
def test_pictures_have_the_asked_shape_and_range(shape):
    pictures = ImageGenerator(shape, latent=8, width=4, seed=1)(torch.randn(3, 8))
    assert pictures.shape == (3, *shape)
    assert pictures.min() >= 0 and pictures.max() <= 1
    assert pictures.std(0).mean() > 0


def test_a_seed_draws_the_same_weights_and_leaves_the_global_state_alone():
    before = torch.get_rng_state()
    one, same, other = (ImageGenerator((3, 8, 8), latent=4, width=4, seed=s) for s in (3, 3, 4))
    # Constructing layers draws from the global state; the weights themselves come from the seed alone.
    torch.set_rng_state(before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.to_picture.weight, other.to_picture.weight)


def test_a_conditional_generator_paints_by_the_label():
    net = ImageGenerator((3, 8, 8), latent=4, width=8, classes=5)
    z = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    batch = torch.cat([z, z])
    pictures = net(batch, torch.tensor([0, 1, 2, 3]))
    assert not torch.allclose(pictures[0], pictures[2])


@pytest.mark.parametrize("stacked", [False, True])
def test_a_bank_computes_and_differentiates_each_network_by_itself(stacked):
    nets = [ImageGenerator((3, 8, 8), latent=4, width=4, seed=s).double() for s in range(3)]
    z = torch.randn(3, 5, 4, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    modules = StackedModules(nets, stacked=stacked)
    images = modules(z)
    images.square().sum().backward()
    for k, net in enumerate(nets):
        alone = ImageGenerator((3, 8, 8), latent=4, width=4, seed=k).double()
        expected = alone(z[k])
        expected.square().sum().backward()
        torch.testing.assert_close(images[k], expected)
        for name, parameter in alone.named_parameters():
            torch.testing.assert_close(modules.gradients()[k][name], parameter.grad)
            torch.testing.assert_close(modules.of_each()[k][name].detach(), parameter.detach())
        del net
