from dfml.ui.charts.bars import similarity_matrix, teacher_map

IDS = ["000", "001", "002", "003"]
GROUPS = [0, 1, 0, 1]
SIMILARITY = [[1.0, 0.2, 0.3, 0.4], [0.2, 1.0, 0.5, 0.6], [0.3, 0.5, 1.0, 0.7], [0.4, 0.6, 0.7, 1.0]]


def test_the_map_has_colour_and_sign_for_each_group_and_tells_what_a_teacher_knows():
    places = [[0, 0], [1, 0], [0, 1], [1, 1]]
    figure = teacher_map(IDS, places, GROUPS, {"002": "apple, bee"})
    first, second = figure.data
    assert (first.name, second.name) == ("group 1", "group 2")
    assert list(first.x) == [0, 0] and list(second.x) == [1, 1]
    assert list(first.text) == ["teacher 000", "teacher 002<br>apple, bee"]
    assert first.marker.symbol != second.marker.symbol and first.marker.color != second.marker.color
    assert figure.layout.yaxis.scaleanchor == "x", "distances must not be stretched"


def test_the_matrix_stands_in_the_order_of_the_groups_which_lines_divide(palette):
    figure = similarity_matrix(IDS, SIMILARITY, GROUPS)
    (heat,) = figure.data
    assert list(heat.z[0]) == [None, 0.3, 0.2, 0.4] and list(heat.z[2]) == [0.2, 0.5, None, 0.6]
    assert heat.customdata[0][1] == "000 and 002"
    assert list(figure.layout.xaxis.ticktext) == ["000", "002", "001", "003"]
    assert [line.x0 for line in figure.layout.shapes if line.x0 == line.x1] == [1.5]
    assert {line.line.color for line in figure.layout.shapes} == {palette.text}


def test_many_teachers_are_named_by_their_group():
    count = 40
    groups = [0] * 30 + [1] * 10
    figure = similarity_matrix([f"{i:03d}" for i in range(count)], [[0.5] * count] * count, groups)
    assert list(figure.layout.xaxis.ticktext) == ["1", "2"]
    assert list(figure.layout.xaxis.tickvals) == [14.5, 34.5]


def test_a_single_teacher_and_a_single_group_do_no_harm():
    assert len(similarity_matrix(["000"], [[1.0]], [0]).layout.shapes) == 0
    assert teacher_map(["000"], [[0, 0]], [0], {}).data[0].name == "group 1"
