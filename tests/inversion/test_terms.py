import pytest
import torch
from kornia.losses import total_variation

from dfml.inversion import terms
from dfml.zoo.oracles.base import LayerStatistics


def test_cross_entropy_is_one_number_a_picture():
    logits, labels = torch.randn(6, 5), torch.arange(6) % 5
    loss = terms.cross_entropy(logits, labels)
    assert loss.shape == (6,)
    assert torch.allclose(loss, -logits.log_softmax(1)[range(6), labels])


def test_bn_distance_is_zero_where_statistics_agree_and_a_sum_of_norms_else():
    mean, var = torch.randn(4), torch.rand(4)
    same = LayerStatistics(mean, var, mean.clone(), var.clone())
    assert terms.bn_distance([same, same]).item() == 0
    off = LayerStatistics(mean + 3, var, mean, var + 4)
    # Four channels off by 3 and by 4: norms 6 and 8, not squared.
    assert terms.bn_distance([same, off]).item() == pytest.approx(14, rel=1e-5)


def test_total_variation_of_a_flat_picture_is_zero_and_of_an_edge_is_known():
    assert terms.total_variation(torch.full((2, 3, 8, 8), 0.3)).item() == 0
    edge = torch.zeros(1, 1, 4, 4)
    edge[..., 2:] = 1
    # Horizontal differences: 4 rows cross the edge; none vertical; 3 on each diagonal.
    assert terms.total_variation(edge).item() == pytest.approx(4**0.5 + 2 * 3**0.5, rel=1e-6)


@pytest.mark.parametrize("lines", ["columns", "rows"])
def test_total_variation_of_lines_agrees_with_an_independent_one(lines):
    """Kornia sums |difference| of neighbours in rows and columns, which are squares where pixels are 0 or 1."""
    generator = torch.Generator().manual_seed(0)
    height, width = (7, 12) if lines == "columns" else (12, 7)
    shape = (4, 3, 1, 12) if lines == "columns" else (4, 3, 12, 1)
    x = torch.randint(0, 2, shape, generator=generator).float().expand(4, 3, height, width)
    across = total_variation(x, reduction="sum").sum().sqrt()
    # Both diagonals see the same differences, on one line of seven less.
    assert terms.total_variation(x).item() == pytest.approx(float(across * (1 + 2 * (6 / 7) ** 0.5)), rel=1e-6)


def test_total_variation_of_a_chessboard_agrees_with_an_independent_one():
    x = (torch.arange(8).view(8, 1) + torch.arange(8)).remainder(2).float().expand(2, 3, 8, 8)
    half = total_variation(x, reduction="sum").sum() / 2  # rows and columns alike; diagonals see nothing
    assert terms.total_variation(x).item() == pytest.approx(2 * float(half.sqrt()), rel=1e-6)


@pytest.mark.stochastic
def test_total_variation_falls_when_a_picture_is_smoothed(margin):
    x = torch.rand(2, 3, 16, 16)
    smooth = torch.nn.functional.avg_pool2d(x, 3, 1, 1)
    margin.at_most("smoothed", terms.total_variation(smooth) / terms.total_variation(x), 0.5)


def test_jitter_moves_by_at_most_the_shift_and_depends_on_the_seed_alone():
    x = torch.rand(2, 3, 8, 8)
    drawn = [terms.draw_jitter(3, 2, False, torch.Generator().manual_seed(s)) for s in range(40)]
    moved = [jitter.apply(x) for jitter in drawn]
    allowed = [torch.roll(x, (a, b), (2, 3)) for a in range(-2, 3) for b in range(-2, 3)]
    assert all(any(torch.equal(m, a) for a in allowed) for m in moved)
    assert len({m.numpy().tobytes() for m in moved}) > 5
    assert terms.draw_jitter(3, 2, False, torch.Generator().manual_seed(3)) == drawn[3]


def test_undoing_a_jitter_is_its_exact_gradient():
    weight = torch.rand(2, 3, 6, 6)
    for seed in range(12):
        jitter = terms.draw_jitter(3, 2, True, torch.Generator().manual_seed(seed))
        x = torch.rand(2, 3, 6, 6, requires_grad=True)
        (jitter.apply(x) * weight).sum().backward()
        assert torch.equal(jitter.undo(weight), x.grad)
        assert torch.equal(jitter.undo(jitter.apply(x)), x)


def test_characters_are_never_mirrored():
    x = torch.rand(2, 1, 8, 8)
    for seed in range(10):
        moved = terms.draw_jitter(1, 0, True, torch.Generator().manual_seed(seed)).apply(x)
        assert torch.equal(moved, x)
