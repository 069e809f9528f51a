"""The page of the model zoo."""

import re

from tests.pages.opening import open_page, texts

ZOO = "cifar-fs-conv4"
"""The embedded zoo that these tests see."""


def test_zoo_page_shows_summary_table_card_and_charts(runs):
    app = open_page("zoo")
    values = {metric.label: metric.value for metric in app.metric}
    assert values["Teachers"] == "3"
    assert len(app.dataframe[0].value) == 3
    assert app.header[1].value == "Teacher 000"
    assert len(app.get("plotly_chart")) == 2


def test_zoo_search_narrows_the_table(runs):
    app = open_page("zoo")
    app.text_input(key="search").set_value("002").run()
    assert list(app.dataframe[0].value["id"]) == ["002"]
    app.text_input(key="search").set_value("no such class").run()
    assert "No teacher matches" in texts(app)
    assert not app.exception


def test_zoo_page_names_a_bad_model_and_a_bad_path(runs, zoo_copy):
    (zoo_copy / "001" / "model.safetensors").write_bytes(b"nothing")
    app = open_page("zoo", zoo=str(zoo_copy))
    assert "1 model cannot be used; the other 2 can" in app.warning[0].value
    app = open_page("zoo", zoo="/no/such/folder")
    assert "no zoo at" in app.error[0].value
    assert not app.exception


def open_pollution():
    app = open_page("zoo")
    app.session_state["pollution_open"] = True
    return app.run()


def order(app, *, attack, share=40, **numbers):
    """Fill the form that makes a polluted copy, and press its button; return the sentence that it said before."""
    app.slider(key=f"pollute:{ZOO}:share").set_value(share)
    app.selectbox(key=f"pollute:{ZOO}:attack").set_value(attack)
    for name, value in numbers.items():
        app.number_input(key=f"pollute:{ZOO}:{name}").set_value(value)
    app.run()
    said = next((text.value for text in app.markdown if "deceive" in text.value), "")
    app.button(key=f"pollute:{ZOO}:make").click().run()
    return said


def test_a_polluted_copy_is_made_opened_and_shows_who_deceives_only_when_asked(runs):
    from dfml.zoo.build.pollute import pollution_truth

    app = open_pollution()
    said = order(app, attack="fake", keep=2, share=50)
    assert not app.exception and not app.error
    (folder,) = (path for path in (runs / "zoos").iterdir() if path.is_dir())
    assert app.selectbox(key="zoo").value == str(folder)
    truth = pollution_truth(folder)
    assert sorted(truth.values()) == ["clean", "clean", "fake", "fake"]
    assert re.findall(r"\d+", said) == ["2", "4", "2", "2"], "deceptive, all, untrained, honest"
    assert "honest" not in texts(app) and len(app.dataframe) == 1
    app.toggle[0].set_value(True).run()
    assert "2 honest; 2 untrained." in texts(app)
    shown = app.dataframe[1].value
    assert dict(zip(shown["Teacher"], shown["It is"] == "honest", strict=True)) == {
        teacher: kind == "clean" for teacher, kind in truth.items()
    }


def test_a_polluted_copy_that_cannot_be_made_is_one_line(runs):
    app = open_pollution()
    order(app, attack="fake", keep=50)
    assert not app.exception and "50" in app.error[0].value
    assert not list((runs / "zoos").glob("*"))


def test_where_the_liars_are_of_the_zoos_own_domain_another_attack_is_wanted(runs, zoo_copy, monkeypatch):
    from dfml.ui.zoo import polluting

    monkeypatch.setattr(polluting, "_same_domain", lambda zoo, other: True)
    app = open_pollution()
    assert app.selectbox(key=f"pollute:{ZOO}:attack").value == "fake"
    order(app, attack="both")
    assert not app.exception and "choose the attack fake" in app.error[0].value
