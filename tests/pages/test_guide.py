"""The guide's page: links name lesson, step and choices; presenting shows no form."""

import pytest

from dfml.ui.guide.lesson_files import facts_of
from dfml.ui.guide.lessons import LESSONS
from tests.pages.opening import open_page, texts


def forms(app):
    return [*app.button_group, *app.expander]


def asked(app):
    return {name: value if isinstance(value, str) else value[-1] for name, value in app.query_params.items()}


def press(app, label):
    next(button for button in app.button if button.label == label).click()
    app.run()
    assert not app.exception
    return app


@pytest.mark.parametrize("number", range(1, len(LESSONS) + 1))
def test_each_lesson_opens_at_its_link(number):
    lesson = LESSONS[number - 1]
    step = len(lesson.steps)
    app = open_page("guide", lesson=str(number), step=str(step))
    figure = lesson.figure(facts_of(lesson.name), lesson.begins(step), step)
    assert lesson.title in app.title[0].value
    assert (app.metric[0].label, app.metric[0].value) == (figure.title, figure.words)


def test_a_link_without_sense_opens_the_first_lesson():
    for values in ({"lesson": "99", "step": "x"}, {"lesson": "²", "step": "-1"}, {"k": "1e9", "order": "\0"}):
        assert LESSONS[0].title in open_page("guide", **values).title[0].value


def test_going_on_begins_with_the_choices_of_the_step():
    app = press(open_page("guide", lesson="2", step="3", setting="untrained"), "Next")
    assert asked(app) == {"lesson": "2", "step": "4"}
    assert app.button_group[0].value == LESSONS[1].begins(4)["setting"] == "no-statistics"
    app = press(app, "Back")
    assert asked(app)["step"] == "3"


def test_the_way_on_leads_through_all_lessons():
    app = press(open_page("guide", lesson="1", step=str(len(LESSONS[0].steps))), "Next")
    assert asked(app) == {"lesson": "2", "step": "1"}
    app = open_page("guide", lesson="8", step=str(len(LESSONS[7].steps)))
    assert next(button for button in app.button if button.label == "Next").disabled


def test_a_choice_goes_into_the_link_and_changes_the_number():
    app = open_page("guide", lesson="4", step="5")
    before = app.metric[0].value
    app.button_group[0].set_value("0.01").run()
    assert asked(app)["rate"] == "0.01" and app.metric[0].value != before
    assert open_page("guide", lesson="4", step="5", rate="0.01").metric[0].value == app.metric[0].value


def test_presenting_shows_one_scene_and_no_form():
    app = open_page("guide", lesson="7", step="3", present="1")
    assert not forms(app) and app.metric[0].value == "1.00"
    app = press(app, "Next")
    assert asked(app) == {"lesson": "7", "step": "4", "present": "1"}
    assert forms(press(app, "Leave"))


def test_a_missing_file_is_told_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("dfml.ui.guide.lesson_files.LESSONS_AT", tmp_path)
    app = open_page("guide", lesson="3")
    assert len(app.error) == 1 and "bench lessons" in texts(app)
