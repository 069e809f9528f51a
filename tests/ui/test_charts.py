from dfml.ui.charts.bars import accuracy_histogram, class_coverage


def test_histogram_names_the_mean(palette):
    figure = accuracy_histogram([0.8, 0.9])
    assert figure.layout.font.color == figure.layout.annotations[0].font.color == palette.text
    assert figure.layout.annotations[0].text == "mean 85.0%"
    assert sum(len(trace.x) for trace in figure.data) == 2


def test_coverage_shows_every_class_from_the_most_frequent_down():
    figure = class_coverage([("bee", 5), ("can", 3)])
    assert list(figure.layout.yaxis.ticktext) == ["bee", "can"] and list(figure.data[0].x) == [5, 3]
    assert figure.layout.yaxis.autorange == "reversed"
