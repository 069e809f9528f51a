"""Forms of an app that was started with a cluster."""

import pytest

from dfml.runs import launcher
from dfml.runs.folder import RunFolder
from tests.pages.opening import choose_method, open_page, texts

ADDRESS = "tcp://127.0.0.1:8786"
FORMS = [
    ("training", "train:cluster", "Start training"), ("training", "train:cluster", "Start 3 trainings"),
    ("inversion", "invert:cluster", "Recover images"), ("zoo", "build:cluster", "Train the zoo"),
]  # fmt: skip


@pytest.mark.parametrize(("page", "key", "button"), FORMS)
@pytest.mark.parametrize("where", ["the cluster", "this machine"])
def test_a_run_goes_where_the_form_says(page, key, button, where, runs, patterns, monkeypatch):
    orders = []
    monkeypatch.setattr(launcher, "start", lambda spec: orders.append(spec) or RunFolder.create(spec))
    monkeypatch.setenv("DFML_CLUSTER", ADDRESS)
    app = open_page(page)
    if page == "training":
        choose_method(app, "random")
    if page == "zoo":
        app.session_state["build_open"] = True
        app.run()
        app.text_input(key="build:data").set_value(str(patterns))
        app.text_input(key="build:name").set_value("ours")
    assert app.selectbox(key=key).value == "the cluster"
    app.selectbox(key=key).set_value(where).run()
    next(one for one in app.button if one.label == button).click().run()
    assert not app.exception and not app.error
    assert {order.cluster for order in orders} == {ADDRESS if where == "the cluster" else ""}


def test_without_a_cluster_none_is_asked_for_and_a_wrong_address_is_said(runs, monkeypatch):
    app = open_page("training")
    assert not [one for one in app.selectbox if one.key == "train:cluster"]
    monkeypatch.setenv("DFML_CLUSTER", "far away")
    app = open_page("training")
    assert not app.exception and "far away" in texts(app)
