"""What stands open in the form of a training, what its link says, and the sweep."""

from dfml.methods import METHODS
from dfml.ui.training import sweep_form
from dfml.ui.training.method_cards import MEASURED, measured, method_cards
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


def test_what_runs_stands_above_the_form(runs, training):
    training(runs, state="running")
    app = open_page("training")
    kinds = [type(one).__name__ for one in app.main.children.values()]
    runs_at = next(i for i, one in app.main.children.items() if "training_run" in str(one))
    form_at = next(i for i, one in app.main.children.items() if "New run" in str(one))
    assert runs_at < form_at, kinds
