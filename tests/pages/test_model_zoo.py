"""The page of the model zoo."""

from tests.pages.opening import open_page, texts


def test_zoo_page_shows_summary_table_card_and_charts(runs):
    app = open_page("zoo")
    values = {metric.label: metric.value for metric in app.metric}
    assert values["Teachers"] == "3"
    assert len(app.dataframe[0].value) == 3
    assert app.subheader[1].value == "Teacher 000"
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
    assert "no folder at" in app.error[0].value
    assert not app.exception
