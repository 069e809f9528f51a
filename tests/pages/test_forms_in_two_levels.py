"""What stands open in the forms of trainings and recoveries, what its link says, and the sweep."""

import json

import pytest

from dfml.inversion import INVERTERS
from dfml.methods import METHODS
from dfml.runs import recorded
from dfml.runs.recorded.copying import record_run
from dfml.ui.inversion import inverter_cards
from dfml.ui.training import sweep_form
from dfml.ui.training.method_cards import MEASURED, measured, method_cards
from dfml.ui.widgets.texts import in_minutes
from tests.pages.opening import choose_method, open_page


def field(app, label):
    return next(one for one in app.number_input if one.label == label)


def test_every_method_has_a_card_that_tells_what_it_takes():
    cards = [card for group in method_cards(METHODS, "demo", "purer").values() for card in group]
    assert sorted(card.value for card in cards) == sorted(METHODS.names()) and cards[0].value == "purer"
    facts = {card.value: " ".join(card.facts) for card in cards}
    for name, row in measured(MEASURED).items():
        assert str(round(row.seconds / 60) if row.seconds >= 90 else round(row.seconds)) in facts[name]
        assert ("no side information" in facts[name]) == (not row.side_information)
    assert "queries only" in facts["bidf-mkd"] and "gradients" in facts["purer"] and "weights" in facts["dro"]
    assert "no teacher" in facts["random"]
    assert not any("minutes" in " ".join(card.facts) for card in method_cards(METHODS, "paper", "purer")["References"])


def test_every_inverter_has_a_card_whose_seconds_are_those_of_the_table():
    groups = inverter_cards.inverter_cards(INVERTERS, "demo")
    cards = {card.value: card for group in groups.values() for card in group}
    assert sorted(cards) == sorted(INVERTERS.names()) and len(groups) == 2
    table = json.loads(inverter_cards.MEASURED.read_text(encoding="utf-8"))
    assert len(inverter_cards.measured(inverter_cards.MEASURED)) == len(cards)
    for name, card in cards.items():
        rows = [row for row in (*table["rows"], *table["transformers"]) if row["inverter"] == name]
        assert card.facts[0].startswith(f"{max(1, round(rows[0]['seconds']))} s")
        assert rows[0]["warm_up_seconds"] is None or in_minutes(rows[0]["warm_up_seconds"]) in card.facts[0]
        assert ("queries" in card.facts[1]) == INVERTERS.get(name).by_queries
    assert not any(inverter_cards.took(name, "paper") for name in cards)


def test_a_link_sets_options_and_says_those_that_differ(runs):
    link = {"method": "tgr", "o.iterations": "77", "o.outer_lr": "1000000", "o.nothing": "1", "seed": "5"}
    app = open_page("training", **link)
    assert field(app, "Iterations").value == 77 and field(app, "Seed").value == 5
    assert field(app, "Outer learning rate").value == METHODS.get("tgr").preset("demo").outer_lr, (
        "out of range: ignored"
    )

    def said():
        found = {name: value for name, value in app.query_params.items() if name.startswith("o.")}
        return {name: value if isinstance(value, str) else value[0] for name, value in found.items()}

    assert said() == {"o.iterations": "77"}
    field(app, "Shot").set_value(1).run()
    assert said() == {"o.iterations": "77", "o.shot": "1"}
    field(app, "Iterations").set_value(METHODS.get("tgr").preset("demo").iterations).run()
    assert said() == {"o.shot": "1"}
    choose_method(app, "purer")
    assert said() == {} and "method" not in app.query_params, "the first choice needs no word"
    choose_method(app, "tgr")
    assert said() == {"o.shot": "1"} and field(app, "Shot").value == 1


def test_a_link_that_is_behind_takes_back_nothing(runs):
    app = open_page("training", method="tgr")
    field(app, "Iterations").set_value(77).run()
    behind = app.query_params["o.iterations"]
    field(app, "Shot").set_value(1).run()
    # The browser sends the link that it knows with each change; here not yet the last one that it was told.
    app.query_params.clear()
    app.query_params.update({"method": "tgr", "o.iterations": behind})
    field(app, "Tasks").set_value(3).run()
    assert [field(app, name).value for name in ("Iterations", "Shot", "Tasks")] == [77, 1, 3]
    # On the next visit the same link is somebody's wish.
    app.switch_page("pages/guide.py").run()
    app.query_params.clear()
    app.query_params.update({"method": "tgr", "o.iterations": behind})
    app.switch_page("pages/training.py").run()
    assert [field(app, name).value for name in ("Iterations", "Shot", "Tasks")] == [77, 5, 4]


def test_a_sweep_starts_each_method_with_each_seed_and_the_options_that_it_has(runs, monkeypatch):
    from dfml.runs.folder import RunFolder

    started = []
    monkeypatch.setattr(
        sweep_form, "start_sweep", lambda specs: started.extend(specs) or [RunFolder.create(one) for one in specs[:1]]
    )
    app = open_page("training", **{"o.iterations": "777", "seed": "3"})
    app.multiselect(key="sweep:methods").set_value(["purer", "random"]).run()
    app.number_input(key="sweep:seeds").set_value(2).run()
    app.button(key="sweep:start").click().run()
    assert not app.exception and not app.error, app.error[0].value
    assert [(one.method, one.seed) for one in started] == [("purer", 3), ("random", 3), ("purer", 4), ("random", 4)]
    assert {one.config.get("iterations") for one in started} == {777, None}


def order(app):
    """Which comes first on the page: the chooser of runs or the form."""
    named = ("runs" if "training_run" in str(one) else type(one).__name__ for one in app.main.children.values())
    places = {name: place for place, name in enumerate(named)}
    return sorted(("runs", "Expander"), key=places.__getitem__)


def test_what_can_be_watched_stands_above_the_form_until_that_is_asked_for(runs, training, tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "RECORDED", tmp_path / "shipped")
    run = training(runs)
    record_run(run, tmp_path / "shipped" / "purer")
    run.path.rename(tmp_path / "away")
    app = open_page("training")
    assert order(app) == ["runs", "Expander"], "a recorded run"
    app.button(key="training:new").click().run()
    assert order(app) == ["Expander", "runs"] and app.expander[0].proto.expanded
    assert order(open_page("training", method="tgr")) == ["Expander", "runs"], "the link names settings"


@pytest.mark.parametrize("state", ["running", "finished"])
def test_an_own_run_stands_above_the_form(runs, training, state):
    run = training(runs, state=state)
    assert order(open_page("training")) == ["runs", "Expander"]
    # A link with settings leads to the form, but whoever reloads while the run works wants to see it.
    again = open_page("training", run=run.name, method="tgr")
    assert (order(again) == ["runs", "Expander"]) == (state == "running")
