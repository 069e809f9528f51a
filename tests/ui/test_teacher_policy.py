from dfml.ui.charts.bars import teacher_policy_bars
from dfml.ui.training.all_curves import newest_weights

SCALARS = {
    "train/loss": ([1, 2], [3.0, 2.0]),
    "reliability/000": ([1, 8], [0.25, 0.1]),
    "reliability/001": ([1, 8], [0.25, 0.6]),
    "reliability/net/a": ([1, 8], [0.25, 0.2]),
    "reliability/003": ([1, 8], [0.25, 0.1]),
}


def test_the_newest_weights_come_sorted_and_nothing_else():
    assert list(newest_weights(SCALARS).items()) == [("001", 0.6), ("net/a", 0.2), ("000", 0.1), ("003", 0.1)]
    assert newest_weights({"train/loss": ([1], [3.0])}) == {}


def test_each_teacher_has_a_bar_with_its_number_and_the_even_weight_is_marked(palette):
    figure = teacher_policy_bars(newest_weights(SCALARS))
    (bars,) = figure.data
    assert figure.layout.yaxis.ticktext == ("001", "net/a", "000", "003")
    assert bars.y == figure.layout.yaxis.tickvals and bars.x == (0.6, 0.2, 0.1, 0.1)
    assert bars.text == ("60.0%", "20.0%", "10.0%", "10.0%")
    assert (figure.layout.yaxis.type, figure.layout.yaxis.tickmode) == ("linear", "array"), "ids are labels only"
    assert figure.layout.yaxis.autorange == "reversed"
    (line,) = figure.layout.shapes
    assert line.x0 == line.x1 == 0.25 and figure.layout.annotations[0].text == "even 25.0%"
    assert figure.layout.font.color == palette.text and palette.series[0] in bars.marker.color


def test_a_hundred_teachers_stay_readable():
    figure = teacher_policy_bars({f"{i:03d}": 0.01 for i in range(100)})
    assert figure.layout.height >= 20 * 100
