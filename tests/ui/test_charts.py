from dfml.runs.metrics import NoteLine
from dfml.ui.charts.bars import accuracy_histogram, class_coverage
from dfml.ui.charts.curves import MAX_POINTS, curves, downsample


def test_downsampling_keeps_ends_and_extremes_within_the_limit():
    values = [0.0] * 10_000
    values[3333], values[7777] = 9.0, -9.0
    steps, thin = downsample(range(10_000), values)
    assert len(steps) <= MAX_POINTS
    assert (steps[0], steps[-1]) == (0, 9_999)
    assert {3333, 7777} <= set(steps)
    assert max(thin) == 9.0
    assert min(thin) == -9.0


def test_short_curves_are_left_alone():
    assert downsample([1, 2, 3], [4.0, 5.0, 6.0]) == ([1, 2, 3], [4.0, 5.0, 6.0])


def test_no_trace_has_more_points_than_the_limit_and_both_axes_are_named():
    many = (range(5000), [0.5] * 5000)
    figure = curves({"accuracy": many}, y="accuracy", percent=True, band={"accuracy": [0.1] * 5000})
    assert max(len(trace.x) for trace in figure.data) <= MAX_POINTS
    assert figure.layout.xaxis.title.text == "iteration"
    assert figure.layout.yaxis.title.text == "accuracy"
    assert figure.layout.yaxis.tickformat == ".0%"


def test_the_interval_is_drawn_around_the_curve_and_stays_between_0_and_1():
    figure = curves({"val": ([0, 1], [0.02, 0.99])}, y="accuracy", percent=True, band={"val": [0.05, 0.05]})
    band = next(trace for trace in figure.data if trace.fill == "toself")
    assert band.name == "95 % interval"
    assert min(band.y) == 0.0
    assert max(band.y) == 1.0


def test_marks_lie_on_the_curve_where_they_happened():
    figure = curves(
        {"loss": ([1, 2, 3, 4], [4.0, 3.0, 2.0, 1.0])},
        y="loss",
        marks=[NoteLine(type="note", step=3, kind="adversarial", text="step 1")],
    )
    marks = next(trace for trace in figure.data if trace.name == "adversarial step")
    assert (marks.x, marks.y, marks.text) == ((3,), (2.0,), ("step 1",))
    assert marks.marker.symbol == "diamond"


def test_marks_before_the_first_point_do_no_harm():
    early = NoteLine(type="note", step=2, kind="adversarial", text="early")
    figure = curves({"loss": ([10], [1.0])}, y="loss", marks=[early])
    assert figure.data[-1].y == (1.0,)


def test_series_differ_in_more_than_colour():
    figure = curves({name: ([0, 1], [0, 1]) for name in "abcd"}, y="loss")
    assert len({trace.line.dash for trace in figure.data}) == 4
    assert len({trace.line.color for trace in figure.data}) == 4


def test_a_logarithmic_axis_only_where_every_value_is_above_zero():
    assert curves({"a": ([0], [1.0])}, y="loss", log=True).layout.yaxis.type == "log"
    assert curves({"a": ([0], [0.0])}, y="loss", log=True).layout.yaxis.type is None


def test_histogram_names_the_mean(palette):
    figure = accuracy_histogram([0.8, 0.9])
    assert figure.layout.font.color == figure.layout.annotations[0].font.color == palette.text
    assert figure.layout.annotations[0].text == "mean 85.0%"
    assert sum(len(trace.x) for trace in figure.data) == 2


def test_empty_numbers_give_an_empty_figure():
    assert len(curves({}, y="loss").data) == 0


def test_coverage_shows_every_class_from_the_most_frequent_down():
    figure = class_coverage([("bee", 5), ("can", 3)])
    assert list(figure.layout.yaxis.ticktext) == ["bee", "can"] and list(figure.data[0].x) == [5, 3]
    assert figure.layout.yaxis.autorange == "reversed"
