from dfml.ui.charts.bars import accuracies_by_architecture, accuracy_histogram, architecture_bars, class_coverage


def test_histogram_names_the_mean(palette):
    figure = accuracy_histogram([0.8, 0.9])
    assert figure.layout.font.color == figure.layout.annotations[0].font.color == palette.text
    assert figure.layout.annotations[0].text == "mean 85.0%"
    assert sum(len(trace.x) for trace in figure.data) == 2


def test_coverage_shows_every_class_from_the_most_frequent_down():
    figure = class_coverage([("bee", 5), ("can", 3)])
    assert list(figure.layout.yaxis.ticktext) == ["bee", "can"] and list(figure.data[0].x) == [5, 3]
    low, high = figure.layout.yaxis.range
    assert low > high


def test_teachers_that_are_always_right_stand_below_a_hundred_per_cent():
    for accuracies in ([1.0, 1.0], [0.5, 1.0]):
        (bars,) = accuracy_histogram(accuracies).data
        edges = [bars.xbins.start + place * bars.xbins.size for place in range(200)]
        assert all(not any(low <= value < low + bars.xbins.size for low in edges if low >= 1) for value in bars.x)


def test_rows_of_architectures_are_level_and_everyone_is_a_point_while_they_are_few():
    families = [("a", [0.5, 0.6]), ("b", [0.7] * 100), ("c", [0.9])]
    boxes, bars = accuracies_by_architecture(families), architecture_bars([(name, len(v)) for name, v in families])
    assert boxes.layout.height == bars.layout.height and boxes.layout.yaxis.ticktext == bars.layout.yaxis.ticktext
    assert [trace.boxpoints for trace in boxes.data] == ["all", "outliers", "all"]
    assert [len(trace.x) for trace in boxes.data] == list(bars.data[0].x) == [2, 100, 1]
