import pytest

from dfml.ui.charts.curves import DENSE, calm_range, curves, running_mean


def test_only_dense_curves_have_a_running_mean():
    for count, traces in ((DENSE, 1), (DENSE + 1, 2)):
        assert len(curves({"loss": (range(count), [1.0] * count)}, y="loss", smooth=True).data) == traces


@pytest.mark.parametrize("window", [1, 2, 3, 7, 50])
def test_the_running_mean_is_the_mean_of_the_points_around(window):
    values = [float(i * i % 17) for i in range(40)]
    found = running_mean(values, window)
    left, right = (window - 1) // 2, window // 2
    for i, mean in enumerate(found):
        around = values[max(0, i - left) : i + right + 1]
        assert mean == pytest.approx(sum(around) / len(around))
    assert running_mean([], window) == []


def test_a_short_logarithmic_axis_has_numbers_between_the_powers_of_ten():
    short = curves({"a": ([0, 1], [0.3, 4.0])}, y="loss", log=True).layout.yaxis
    assert (short.dtick, short.tickformat) == ("D2", "~g"), "1, 2 and 5 of each power, as whole numbers"
    assert curves({"a": ([0, 1], [0.01, 4.0])}, y="loss", log=True).layout.yaxis.dtick == 1


def test_smoothing_draws_dense_curves_faintly_under_their_mean():
    noisy = (range(400), [float(i % 2) for i in range(400)])
    figure = curves({"loss": noisy}, y="loss", smooth=True)
    faint, mean = figure.data
    assert (faint.showlegend, faint.hoverinfo) == (False, "skip")
    assert max(mean.y[5:-5]) - min(mean.y[5:-5]) < 0.2 < max(faint.y) - min(faint.y)
    assert figure.layout.showlegend is False


def test_smoothing_leaves_sparse_curves_alone():
    figure = curves({"loss": ([0, 1, 2], [0.0, 1.0, 0.0])}, y="loss", smooth=True)
    assert len(figure.data) == 1
    assert list(figure.data[0].y) == [0.0, 1.0, 0.0]


def test_a_series_keeps_its_colour_where_others_are_missing():
    both = curves({"a": ([0], [1.0]), "b": ([0], [1.0])}, y="loss", places={"a": 0, "b": 1})
    alone = curves({"b": ([0], [1.0])}, y="loss", places={"a": 0, "b": 1})
    assert alone.data[0].line == both.data[1].line


def test_values_that_hardly_differ_get_an_axis_that_says_so():
    low, high = calm_range([1.0, 0.9999999, 1.0], percent=True)
    assert low < 0.95 + 1e-9 and 1.0 < high < 1.01
    low, high = calm_range([0.0, 0.001], percent=True)
    assert -0.01 < low < 0 and high > 0.05
    assert calm_range([0.5, 0.6], percent=True) is None
    low, high = calm_range([3.0, 3.0 + 1e-7, float("nan")])
    assert low < 3.0 < high and high - low > 0.003
    assert calm_range([3.0, 3.1]) is None
    assert calm_range([0.0, 0.0]) is None and calm_range([]) is None


def test_a_flat_curve_is_drawn_flat():
    figure = curves({"a": (range(9), [1.0, 0.99999994] * 4 + [1.0])}, y="accuracy", percent=True)
    low, high = figure.layout.yaxis.range
    assert high - low > 0.05
