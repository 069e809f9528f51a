"""The page of inversion: one recovery, comparisons, the gallery."""

from tests.pages.opening import open_page, texts


def quality(app):
    return next(frame.value for frame in app.dataframe if "Judge on real" in frame.value)


def test_a_recovery_shows_its_measures_and_a_row_a_class(runs, recovery):
    recovery(runs, classes=("apple", "sweet_pepper"))
    app = open_page("inversion")
    table = quality(app)
    assert list(table["Inverter"]) == ["pixels"]
    assert list(table["Teacher"]) == ["98.0 %"]
    assert list(table["Judge"]) == ["–"]
    shown = texts(app)
    assert "no judge for this teacher" in shown
    assert "**sweet pepper**" in shown
    assert "No real images given" in shown
    assert len(app.get("image") or app.get("image_list") or app.get("imgs")) >= 2


def test_a_comparison_stands_side_by_side_under_one_slider(runs, recovery):
    first = recovery(runs, group="comparison-1")
    recovery(runs, method="generator", group="comparison-1")
    recovery(runs, method="meta-generator", group="comparison-1", state="stopped")
    recovery(runs, teacher="001")
    app = open_page("inversion", run=first.name)
    assert app.selectbox(key="inversion_run").value == "comparison-1"
    assert list(quality(app)["Inverter"]) == ["pixels", "generator", "meta-generator"]
    assert list(quality(app)["Time"]) == ["11 s", "11 s", "–"]
    assert "**pixels** · last step, 30 of 30" in texts(app)
    assert [button.label for button in app.button if button.label == "Resume"] == ["Resume"]
    app.slider(key="way:comparison-1").set_value(0).run()
    assert not app.exception
    assert texts(app).count("step 1 of 30") == 3
    chart = next(chart for chart in app.get("plotly_chart") if "share of the way" in chart.proto.spec)
    assert all(name in chart.proto.spec for name in ("pixels", "generator", "meta-generator"))


def test_a_comparison_with_a_damaged_member_shows_the_others(runs, recovery):
    recovery(runs, group="comparison-1")
    broken = recovery(runs, method="generator", group="comparison-1")
    (broken.path / "recovered" / "000" / "report.json").write_text("{", encoding="utf-8")
    app = open_page("inversion", run="comparison-1")
    assert list(quality(app)["Time"]) == ["11 s", "–"]


def test_two_inverters_start_as_one_comparison(runs, monkeypatch):
    from dfml.runs import launcher
    from dfml.runs.folder import RunFolder

    orders = []
    monkeypatch.setattr(launcher, "start", lambda spec: orders.append(spec) or RunFolder.create(spec))
    app = open_page("inversion", inverter2="generator")
    app.text_input(key="invert:data").set_value("/no/such")
    next(button for button in app.button if button.label == "Recover images").click().run()
    assert "no folder" in texts(app)
    assert not orders
    app.text_input(key="invert:data").set_value("")
    next(button for button in app.button if button.label == "Recover images").click().run()
    assert not app.exception
    assert [order.method for order in orders] == ["pixels", "generator"]
    assert len({(order.group, order.seed) for order in orders}) == 1
    assert app.selectbox(key="inversion_run").value == orders[0].group != ""


def test_a_servers_address_in_a_link_is_not_asked_by_itself(runs):
    app = open_page("inversion", zoo="http://127.0.0.1:9/")
    assert "has not been asked" in texts(app)
    assert "Connect" in [button.label for button in app.button]


def test_the_gallery_filters_by_class(runs, recovery):
    recovery(runs, classes=("apple", "bee"))
    recovery(runs, teacher="001", classes=("bee", "can"))
    app = open_page("inversion")
    assert "4 class rows of 2 recoveries" in texts(app)
    app.selectbox(key="gallery_class").set_value("bee").run()
    assert "2 class rows of 2 recoveries" in texts(app)
