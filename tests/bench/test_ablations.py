"""Arms of ablations: what each changes, how they are compared, and a study of two weight-space arms."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dfml.bench import study
from dfml.bench.ablations import ablation_study, ablation_table
from dfml.bench.ablations.ablation_study import AblationConfig, bench_ablations, chosen_arms, slug
from dfml.bench.ablations.arms import ARMS, WHOLE, Arm
from dfml.core.errors import BadInput
from dfml.core.paths import REPOSITORY, read_json
from dfml.methods import METHODS
from dfml.zoo.build.pollute import pollution_truth, truth_file


@pytest.mark.parametrize("method", sorted({arm.method for arm in ARMS}))
def test_each_arm_changes_its_method_and_is_set_against_an_earlier_one(method):
    arms = [arm for arm in ARMS if arm.method == method]
    assert arms[0].name == WHOLE and not arms[0].changes
    assert len({slug(arm.name) for arm in arms}) == len(arms)
    preset = METHODS.get(method).preset("published")
    configs = {}
    for arm in arms:
        config = preset.override(list(arm.changes)).model_dump()
        elsewhere = arm.teachers or arm.calibrate or arm.polluted
        assert arm.name == WHOLE or arm.against in configs, f"{arm.name} is set against nothing"
        assert arm.name == WHOLE or elsewhere or config != configs[arm.against], f"{arm.name} changes nothing"
        assert arm.question
        configs[arm.name] = config


def test_the_models_of_every_method_are_calibrated_too():
    assert {arm.method for arm in ARMS if arm.calibrate == "icfil"} == {arm.method for arm in ARMS}


def row(arm, seed, right, adapt="steps", method="m", against=WHOLE):
    accuracy = sum(right) / len(right) / 10
    return {
        "method": method, "arm": arm, "against": against, "seed": seed, "adapt": adapt, "bn": "transductive",
        "accuracy": accuracy, "ci95": 0.05, "right": right, "query_pictures": 10, "episode_list": "one", "seconds": 1.0,
    }  # fmt: skip


def outcomes(arms, rights):
    """Rows of arms by name and seed, as jobs that are done would give them."""

    class Job:
        def __init__(self, seed):
            self.spec = type("Spec", (), {"seed": seed})
            self.folder = "nowhere"

    pairs = [(arm, seed) for seed in rights[arms[0].name] for arm in arms]
    rows = {i: {"rows": [row(arm.name, s, rights[arm.name][s])]} for i, (arm, s) in enumerate(pairs)}
    return ablation_table.arm_rows([arm for arm, _ in pairs], [Job(s) for _, s in pairs], rows)


WHOLE_ARM, OFF = Arm("m", WHOLE, "all"), Arm("m", "off", "is it worth anything?", ("x=0",))


@pytest.mark.parametrize(
    ("off", "says"),
    [
        ({0: [4, 6, 4, 6], 1: [4, 6, 4, 6]}, "worse"),
        ({0: [6, 8, 6, 8], 1: [6, 8, 6, 8]}, "better"),
        ({0: [5, 7, 6, 6], 1: [6, 6, 5, 7]}, "shows nothing"),
        ({0: [4, 6, 4, 6], 1: [5, 7, 6, 6]}, "seeds disagree"),
        ({0: [6, 8, 6, 8], 1: [9, 10, 9, 10]}, "seeds disagree"),  # by more than what both say
    ],
)
def test_what_the_seeds_say_together(off, says):
    rows = outcomes([WHOLE_ARM, OFF], {WHOLE: {0: [5, 7, 5, 7], 1: [5, 7, 5, 7]}, "off": off})
    pairs = ablation_table.compared(rows)[("m", "off")]
    assert [each["seed"] for each in pairs] == [0, 1]
    assert ablation_table.verdict(pairs) == says
    text = ablation_table.arms_table(rows, [WHOLE_ARM, OFF])
    assert says in text
    short = [line for line in ablation_table.in_short(rows, [WHOLE_ARM, OFF]).splitlines() if "none" not in line]
    assert len(short) == 1 and short[0].startswith(f"- {says.capitalize()}") and short[0].endswith(": *off*.")
    more = ablation_table.disagreeing(rows, [WHOLE_ARM, OFF])
    assert more == ({WHOLE_ARM, OFF} if says == "seeds disagree" else set())


def test_the_interval_is_of_the_episodes_differences_and_not_of_the_accuracies():
    rows = outcomes([WHOLE_ARM, OFF], {WHOLE: {0: [2, 9, 5], 1: [3, 8, 6]}, "off": {0: [1, 8, 4], 1: [2, 7, 5]}})
    mean, half = ablation_table.over_all(ablation_table.compared(rows)[("m", "off")])
    assert mean == pytest.approx(-0.1) and half == pytest.approx(0, abs=1e-9)


def test_a_calibration_is_told_from_what_its_own_episodes_gave_without_it():
    arm = Arm("m", "ICFIL", "does it help?", calibrate="icfil")
    rows = [row(WHOLE, 0, [9, 9, 9], adapt) for adapt in ("steps", "centroid")]
    for adapt, before in (("steps", [4, 5, 6]), ("centroid", [2, 5, 6])):
        mine = {**row("ICFIL", 0, [5, 6, 7], adapt), "episodes": 3, "uncalibrated": 0.5, "uncalibrated_right": before}
        rows.append({**mine, "difference": 0.6 - sum(before) / 30, "difference_ci95": 0.5})
    (line,) = [line for line in ablation_table.arms_table(rows, [WHOLE_ARM, arm]).splitlines() if "ICFIL" in line]
    assert "60.00 from 50.00" in line and "+10.00 ± 0.00 (gradient steps)" in line
    assert "+16.67 ± 10.67 (nearest centroid)" in line, "the other way, not judged"
    assert any("over 3 episodes" in note for note in ablation_table.shown_notes(rows, 300, 5))


def test_the_way_of_adapting_is_that_in_which_what_is_compared_with_is_better():
    rows = []
    for adapt, high in (("steps", 3), ("centroid", 8)):
        rows += [
            {**row(WHOLE, 0, [high, high], adapt)},
            {**row("off", 0, [5, 5], adapt), "difference": 0.1 * (5 - high)},
        ]
    (pair,) = ablation_table.compared(rows)[("m", "off")]
    assert pair["adapt"] == "centroid" and pair["difference"] == pytest.approx(-0.3)


def test_arms_that_do_not_exist_are_refused_and_what_is_compared_with_comes_along():
    asked = {"data": "sample:cifar-fs"}
    with pytest.raises(BadInput, match="nope"):
        chosen_arms(AblationConfig(**asked, methods=("nope",)))
    with pytest.raises(BadInput, match="nope"):
        chosen_arms(AblationConfig(**asked, arms=("nope",)))
    arm = next(arm for arm in ARMS if arm.name != WHOLE)
    found = chosen_arms(AblationConfig(**asked, methods=(arm.method,), arms=(arm.name,)))
    assert [a.name for a in found] == [arm.against, arm.name]


def test_arms_with_teachers_of_a_given_domain_want_a_zoo_of_it(tiny_zoo_folder, patterns, tmp_path):
    named = [arm for arm in ARMS if dict(arm.polluted).get("source")]
    assert named and all(arm.method == "teapot" for arm in named)
    config = AblationConfig(data=str(patterns), zoo=str(tiny_zoo_folder), methods=("teapot",), work=tmp_path)
    assert not set(named) & set(chosen_arms(config))
    with pytest.raises(BadInput, match="--source"):
        chosen_arms(config.model_copy(update={"arms": (named[0].name,)}))
    given = config.model_copy(update={"source": "omniglot-colour-conv4"})
    assert set(named) <= set(chosen_arms(given))
    few = replace(named[0], polluted=(*named[0].polluted, ("clean", 2)))
    zoo = Path(ablation_study._job(given, few, 0, print).spec.zoo)
    assert set(pollution_truth(zoo).values()) == {"clean", "ood"}
    assert read_json(truth_file(zoo), "truth")["source"] == "omniglot-colour-conv4"


def test_runs_take_a_share_of_the_steps_after_what_an_arm_changes(tiny_zoo_folder, patterns, tmp_path):
    config = AblationConfig(zoo=str(tiny_zoo_folder), data=str(patterns), episodes=3, shots=1, work=tmp_path)
    arms = [Arm("free", WHOLE, "all"), Arm("free", "no warm-up", "off", ("warm_up=0", "iterations=60"))]
    whole, off = (ablation_study._job(config, arm, 0, print).spec.config for arm in arms)
    preset = METHODS.get("free").preset("published")
    assert config.share == 0.25 and off["iterations"] == 15 and off["warm_up"] == 0
    assert whole["iterations"] == round(preset.iterations / 4) and whole["warm_up"] == round(preset.warm_up / 4)
    full = ablation_study._job(config.model_copy(update={"share": 1.0}), arms[0], 0, print).spec.config
    assert full["iterations"] == preset.iterations


def test_a_table_that_tells_no_share_is_of_whole_runs(tiny_zoo_folder, patterns, tmp_path):
    config = AblationConfig(zoo=str(tiny_zoo_folder), data=str(patterns), out=tmp_path, episodes=3)
    measured = {name: value for name, value in ablation_study._measured(config).items() if name != "share"}
    about = {"command": "python -m dfml bench ablations", "date": "", "machine": {}}
    (tmp_path / "t.json").write_text(json.dumps({**about, "rows": [], "measured": measured}))
    with pytest.raises(BadInput, match="share"):
        ablation_study._stored(config, "t", [])
    assert ablation_study._stored(config.model_copy(update={"share": 1.0}), "t", [])["rows"] == []


def test_the_page_of_each_method_with_arms_shows_them():
    for method in {arm.method for arm in ARMS}:
        page = (REPOSITORY / "docs" / "methods" / f"{method}.md").read_text(encoding="utf-8")
        assert page.count(f"<!-- ablations: {method} -->") == 1, method


@pytest.mark.slow
def test_a_study_of_arms_goes_on_and_takes_a_third_seed_where_two_disagree(
    tiny_zoo_folder, patterns, tmp_path, monkeypatch
):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))
    arms = (
        Arm("dro", WHOLE, "all of it"),
        Arm("dro", "no worst case", "does the worst case matter?", ("descent_steps=0",), figures=("nothing",)),
        Arm("dro", "two teachers", "do more teachers matter?", teachers=2),
    )
    monkeypatch.setattr(ablation_study, "ARMS", arms)
    told = iter([{"no worst case"}, set()])
    real = ablation_study.disagreeing

    def one_disagrees(rows, of):
        assert real(rows, of) <= set(arms)
        name = next(told, set())
        return {arm for arm in arms if arm.name in name or (name and arm.name == WHOLE)}

    monkeypatch.setattr(ablation_study, "disagreeing", one_disagrees)
    config = AblationConfig(
        zoo=str(tiny_zoo_folder), data=str(patterns), methods=("dro",), episodes=3, shots=1, device="cpu",
        changes=["width=8", "test_steps=1", "epochs=1", "validation_episodes=1"],
        work=tmp_path / "work", out=tmp_path / "results", command="python -m dfml bench ablations",
    )  # fmt: skip
    planned = bench_ablations(config.model_copy(update={"estimate": True}))
    assert [m["arm"] for m in planned["minutes"]] == [a.name for a in arms]
    assert all(m["minutes"] > 0 for m in planned["minutes"]) and not planned["rows"]
    found = bench_ablations(config)
    seeds = {name: {r["seed"] for r in found["rows"] if r["arm"] == name} for name in (a.name for a in arms)}
    assert seeds == {WHOLE: {0, 1, 2}, "no worst case": {0, 1, 2}, "two teachers": {0, 1}}
    assert {m["how"] for m in found["minutes"]} == {"measured"}, "by the runs that this very study did"
    assert all("difference" in r for r in found["rows"] if r["arm"] != WHOLE) and not found["failures"]
    text = (tmp_path / "results" / "ablations-tiny-published.md").read_text()
    assert "no worst case" in text and "Unfinished" not in text and str(tmp_path) not in text
    stored = json.loads((tmp_path / "results" / "ablations-tiny-published.json").read_text())
    assert stored["rows"] == found["rows"] and stored["missing"] == []
    assert "no worst case" in (tmp_path / "results" / "ablations-tiny-published-minutes.md").read_text()
    told = iter([set(), set()])
    some = bench_ablations(config.model_copy(update={"arms": ("two teachers",)}))
    kept = [r for r in some["rows"] if r["arm"] == "no worst case"]
    assert kept == [r for r in found["rows"] if r["arm"] == "no worst case"], "other arms of the table stay"
    with pytest.raises(BadInput, match="episodes"):
        bench_ablations(config.model_copy(update={"episodes": 2}))
    told = iter([{"no worst case"}, set()])
    with monkeypatch.context() as patch:
        patch.setattr(study.JobProcesses, "do", None)  # nothing is trained or measured again
        assert bench_ablations(config)["rows"] == found["rows"]
