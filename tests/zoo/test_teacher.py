import pytest
import torch
import torch.nn.functional as F

from dfml.zoo.teacher import match_channels, match_size


def test_a_teacher_takes_pictures_as_they_are(tiny_zoo):
    teacher = tiny_zoo.teacher(0)
    x = torch.rand(3, 3, 32, 32)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (teacher.card.mean, teacher.card.std))
    torch.testing.assert_close(teacher.logits(x), teacher.net((x - mean) / std))
    for shape in ((3, 1, 32, 32), (3, 3, 84, 84), (3, 1, 28, 28), (3, 3, 20, 50)):
        assert teacher.logits(torch.rand(shape)).shape == (3, 5)
    assert teacher.features(x).shape == (3, teacher.net.num_features)


def test_a_teacher_is_frozen_but_pictures_get_gradients(tiny_zoo):
    teacher = tiny_zoo.teacher(0)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    x = torch.rand(4, 3, 32, 32, requires_grad=True)
    teacher.train().logits(x).sum().backward()
    assert x.grad.abs().sum() > 0
    assert not teacher.net.training
    assert not any(p.requires_grad for p in teacher.parameters())
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


def test_grey_and_colour_are_converted_alike():
    grey = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(match_channels(match_channels(grey, 3), 1), grey)
    green = torch.zeros(1, 3, 4, 4)
    green[:, 1] = 1
    assert float(match_channels(green, 1).mean()) == pytest.approx(0.587)


@pytest.mark.parametrize("sizes", [((64, 64), (32, 32)), ((32, 64), (32, 32)), ((64, 32), (32, 32))])
def test_shrinking_is_smoothed(sizes):
    before, after = sizes
    stripes = (torch.arange(before[0])[:, None] + torch.arange(before[1])) % 2
    small = match_size(stripes.float()[None, None], after)
    assert small.shape[-2:] == after
    assert float(small[..., 2:-2, 2:-2].std()) < 0.1, "fine stripes turn grey instead of aliasing"


def test_the_same_size_is_the_same_tensor():
    x = torch.rand(1, 3, 32, 32)
    assert match_size(x, (32, 32)) is x
    torch.testing.assert_close(match_size(x, (64, 64)), F.interpolate(x, size=(64, 64), mode="bilinear"))
