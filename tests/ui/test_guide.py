"""The lessons say what their files say: every step can be drawn, numbers come out again, and choices move them."""

import base64
import io
import itertools
import json
import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from PIL import Image

from dfml.core.paths import REPOSITORY, STUDIO
from dfml.data.folders import load_split
from dfml.ui.guide import conflicts, dreams, experts, leaks, liars, minute, mixing, painters, stage, steps
from dfml.ui.guide.lesson import points
from dfml.ui.guide.lesson_files import LESSONS_AT, facts_of, sample_sheet
from dfml.ui.guide.lessons import LESSONS
from dfml.ui.guide.stage import Scene, State, bars, stage_data
from dfml.zoo.listing import read_zoo

NAMES = [lesson.name for lesson in LESSONS]
PERSONS = {"baby", "boy", "girl", "man", "woman"}


@pytest.fixture(params=LESSONS, ids=NAMES)
def lesson(request):
    return request.param


def every_choice(lesson):
    for values in itertools.product(*(choice.options for choice in lesson.choices)):
        yield dict(zip([choice.name for choice in lesson.choices], values, strict=True))


def test_every_step_can_be_drawn_whatever_is_chosen(lesson):
    facts = facts_of(lesson.name)
    for number, step in enumerate(lesson.steps, 1):
        for choices in [lesson.begins(number), *every_choice(lesson)]:
            scene, figure = lesson.scene(facts, choices, number), lesson.figure(facts, choices, number)
            told = json.dumps(stage_data([scene]), allow_nan=False)
            said = (step.text(facts, choices), figure.words, figure.formula, told)
            assert all(said) and not any(re.search(r"\bnan\b|\{|-0\.0 ", text) for text in said[:3]), said[:3]
            assert all(panel["alt"] for panel in scene.panels)


def test_lessons_have_a_question_an_answer_and_a_link(lesson):
    facts = facts_of(lesson.name)
    assert lesson.question.endswith("?") and re.search(r"\d", lesson.answer(facts)) and lesson.say(facts)
    assert lesson.labs and all((STUDIO / lab.page.file).is_file() for lab in lesson.labs)
    assert len(lesson.steps) >= 4 and len(lesson.uses or lesson.steps) == len(lesson.steps)
    known = {choice.name: choice.options for choice in lesson.choices}
    assert all(step.begins[name] in known[name] for step in lesson.steps for name in step.begins)
    assert {name for used in lesson.uses for name in used} <= set(known)


def test_a_choice_changes_what_is_seen(lesson):
    facts = facts_of(lesson.name)
    for number, used in enumerate(lesson.uses or [tuple(c.name for c in lesson.choices)] * len(lesson.steps), 1):
        for choice in (c for c in lesson.choices if c.name in used):
            drawn = set()
            for value in choice.options:
                choices = {**lesson.begins(number), choice.name: value}
                seen = stage_data([lesson.scene(facts, choices, number)]), lesson.figure(facts, choices, number)
                drawn.add(json.dumps(seen))
            assert len(drawn) == len(choice.options), (number, choice.name)


def test_what_a_legend_names_is_in_the_picture(lesson):
    facts = facts_of(lesson.name)
    for number in range(1, len(lesson.steps) + 1):
        scene = lesson.scene(facts, lesson.begins(number), number)
        for panel in (panel for panel in scene.panels if panel["kind"] == "dots"):
            told = [state.changes.get(panel["id"], {}).get("points") for state in scene.states]
            drawn = {point["group"] for points in (panel["points"], *told) for point in points or ()}
            if panel["groups"]:
                assert drawn == set(range(len(panel["groups"]))), number
            else:
                assert len(drawn) == 1, number


def test_names_of_choices_are_of_one_lesson_each():
    names = [choice.name for lesson in LESSONS for choice in lesson.choices]
    assert len(names) == len(set(names)) and not {"lesson", "step", "present", "run", "zoo"} & set(names)


def test_all_lessons_are_small_and_tell_how_they_were_measured():
    files = [path for path in LESSONS_AT.iterdir() if path.suffix in (".json", ".webp")]
    assert sum(path.stat().st_size for path in files) <= 1_200_000
    assert {path.stem.split("-")[0] for path in files} == set(NAMES)
    for name in NAMES:
        facts = facts_of(name)
        assert "bench lessons" in facts["command"] and facts["seed"] == 0 and facts["date"] and facts["machine"]


def test_pictures_are_recovered_ones_of_no_persons():
    for name, shown in (("dreams", "settings"), ("painters", "painters")):
        facts = facts_of(name)
        assert not PERSONS & set(facts["classes"])
        for which in facts[shown]:
            frames = facts["frames"] if name == "dreams" else facts[shown][which]["frames"]
            with Image.open(LESSONS_AT / f"{name}-{which}.webp") as sheet:
                assert sheet.size == (32 * facts["tiles"] * len(facts["classes"]), 32 * len(frames))
    assert not PERSONS & set(load_split("sample:cifar-fs", "test", size=32, channels=3).class_names)


def test_pictures_of_the_sample_are_those_that_were_asked_for():
    data = load_split("sample:cifar-fs", "test", size=32, channels=3)
    sheet = sample_sheet("test", [3, 100])
    with Image.open(io.BytesIO(base64.b64decode(sheet.partition(",")[2]))) as picture:
        assert np.array_equal(np.asarray(picture)[:, 32:], data.images[100])


def test_experts_say_what_the_cards_say():
    facts, cards = facts_of("experts"), read_zoo("cifar-fs-conv4").teachers
    for card, told in zip(cards, facts["teachers"], strict=True):
        assert (card.id, card.accuracy) == (told["id"], told["reported"])
        assert [facts["classes"][c] for c in told["classes"]] == list(card.classes)
    assert experts.known_classes(facts, 10) == len({name for card in cards[:10] for name in card.classes})


def test_more_experts_see_more_and_ten_bring_most():
    facts = facts_of("experts")
    seen = [experts.together(facts, int(k)) for k in experts.COUNTS]
    assert seen == sorted(seen) and experts.gain_share(facts, 10) > 0.75
    assert abs(experts.slope(facts)) < 0.2
    alone = [teacher["alone"] for teacher in facts["teachers"]]
    assert experts.best_reported(facts)["alone"] < np.mean(alone) < experts.together(facts, 2)


def test_the_teacher_is_convinced_first_and_each_term_brings_its_part():
    facts = facts_of("dreams")
    assert dreams.seen(facts, "both", "own", 20) > dreams.seen(facts, "both", "judge", 20) + 0.2
    judged = {setting: dreams.seen(facts, setting, "judge") for setting in facts["settings"]}
    assert judged["both"] > judged["no-statistics"] > 0.4 and judged["no-class"] < 0.25 > judged["untrained"]
    spread = {setting: dreams.diversity(facts, setting) for setting in facts["settings"]}
    assert spread["no-statistics"] < spread["both"] / 3 and spread["no-class"] > spread["both"] / 2


def test_five_steps_are_enough_with_practice_and_the_bill_is_the_table():
    facts = facts_of("painters")
    warm, cold = (painters.judged(facts, name, 5) for name in ("meta-generator", "cold"))
    assert warm > max(cold, *(painters.judged(facts, name, 5) for name in ("pixels", "generator"))) + 0.2
    rows = {r["method"]: r for r in json.loads((STUDIO / facts["bill"]["source"]).read_text())["rows"]}
    meta, pixels = rows["meta-generator"], rows["pixels"]
    assert painters.seconds_for(facts, "pixels", 3) == pytest.approx(3 * pixels["seconds"])
    wanted = meta["warm_up_seconds"] + 3 * meta["seconds"]
    assert painters.seconds_for(facts, "meta-generator", 3) == pytest.approx(wanted)
    first = painters.pays_from(facts, "pixels")
    assert meta["warm_up_seconds"] + (first - 1) * meta["seconds"] >= (first - 1) * pixels["seconds"]


def test_the_rate_closes_the_gap_between_the_starts():
    facts = facts_of("steps")
    assert steps.gap(facts, "0.01") > 0.1 and abs(steps.gap(facts, "0.1")) < 0.04
    for start in ("random", "ota"):
        assert steps.accuracy(facts, start, "0.01", 20) > steps.accuracy(facts, start, "0.01", 1) + 0.1
        told = [{"start": start, "rate": "0.01", "episode": str(n)} for n in (1, 2, 3)]
        assert all(steps.right_after(facts, each, 10) > steps.right_after(facts, each, 0) for each in told)


def test_aligning_keeps_the_function_and_mends_the_middle():
    facts = facts_of("mixing")
    x, wanted = mixing.points(facts)
    for first in ("own", "shared"):
        (_, plain), (one, aligned) = (mixing.networks(facts, first, align) for align in (False, True))
        assert np.allclose(mixing.outputs(plain, x), mixing.outputs(aligned, x))
        # Stored in 16 bits.
        assert np.mean((mixing.outputs(one, x) - wanted) ** 2) < 0.05
        for align, name in ((False, "plain"), (True, "aligned")):
            shown = facts["toy"][first]["of_shown"][name]
            assert mixing.error_at(facts, first, align, 0.5) == pytest.approx(shown, rel=0.05, abs=0.02)
    own, aligned, shared = (mixing.midway(facts, *how) for how in (("own", False), ("own", True), ("shared", False)))
    assert own > 0.5 * facts["flat_line"] and aligned < own / 4 and shared < aligned
    many, singles = facts["zoo"]["100"], facts["zoo"]["singles"]
    assert many["plain"] < facts["zoo"]["random"] < many["aligned"] < min(singles)


def test_slots_are_those_of_the_cards_and_groups_those_of_the_matrix():
    facts, cards = facts_of("conflicts"), read_zoo("cifar-fs-conv4").teachers
    assert facts["heads"] == {card.id: list(card.classes) for card in cards}
    assert conflicts.crossing(facts) == pytest.approx(0.8, abs=0.03)
    values = conflicts.similarities(facts)
    assert np.allclose(values, values.T) and np.allclose(np.diag(values), 1)
    for by, told in facts["groupings"].items():
        assert conflicts.within_between(facts, by) == pytest.approx((told["within"], told["between"]), abs=1e-3)
    gap = {by: np.subtract(*conflicts.within_between(facts, by)) for by in facts["groupings"]}
    assert gap["similar"] > 0.02 > abs(gap["dissimilar"]) and abs(gap["random"]) < 0.01
    outcome = facts["outcome"]
    assert abs(outcome["accuracy"]) < outcome["ci95"], "the text says that no gain could be told"
    assert not conflicts.PERSONS & {name for which in conflicts.pair_shown(facts) for name in facts["heads"][which]}


def test_reports_mislead_and_features_tell():
    facts = facts_of("liars")
    for rate in ("40", "60"):
        assert liars.auc(facts, rate, "reported") < 0.5 < 0.95 < liars.auc(facts, rate, "measured")
        honest, others = (
            [t for t in facts["teachers"][rate] if (t["kind"] == "clean") is clean] for clean in (True, False)
        )
        assert len(others) / (len(honest) + len(others)) == pytest.approx(int(rate) / 100, abs=0.02)
    assert liars.auc(facts, "0", "measured") is None
    rates = facts["training"]["rates"]
    assert rates["60"]["gain"] > rates["60"]["ci95"] and rates["40"]["gain"] < rates["40"]["ci95"]
    assert liars.distrusted(facts, "60")[1][0] > liars.distrusted(facts, "60")[0][0]


def test_copies_are_noticed_and_the_weights_leak():
    facts = facts_of("leaks")
    rows = facts["rows"]
    assert leaks.median(facts, "fresh") < leaks.median(facts, "recovered")
    near = [leaks.median(facts, f"copies-{noise}") for noise in facts["noises"]]
    assert near == sorted(near) and near[0] < leaks.median(facts, "fresh")
    assert rows["copies-0.05"]["verdict"] == "closer" and rows["recovered"]["verdict"] == "none"
    told = next(row for row in facts["membership"]["teachers"] if row["teacher"] == facts["teacher"])
    assert leaks.loss_auc(facts) == pytest.approx(told["auc"], abs=1e-4)
    assert 0.5 < leaks.mean_auc(facts) < 0.7 and told["right"][0] > told["right"][1]


def test_the_minute_lasts_a_minute_and_tells_the_tables_numbers():
    scenes = minute.minute_scenes()
    assert sum(state.seconds for scene in scenes for state in scene.states) == pytest.approx(minute.SECONDS)
    assert all(scene.caption for scene in scenes)
    json.dumps(stage_data(scenes), allow_nan=False)
    rows = json.loads((STUDIO / minute.TABLE).read_text())["rows"]
    said = re.findall(r"\d+", scenes[6].caption)
    for method, number in zip(("random", "distill", "real-data"), said, strict=True):
        best = max(r["accuracy"] for r in rows if (r["method"], r["shots"], r["bn"]) == (method, 5, "transductive"))
        assert number == f"{100 * best:.0f}"


def test_a_state_cannot_change_a_panel_that_is_not_there():
    with pytest.raises(ValueError, match="lacks"):
        stage_data([Scene([bars("a", [], high=1, alt="a")], [State({"b": {}})])])


def test_small_differences_have_no_minus_zero():
    assert points(-0.0001) == "+0.0" and points(0.035) == "+3.5" and points(-0.0166) == "-1.7"


def test_the_script_of_the_stage_takes_text_as_text():
    text = Path(stage.__file__).with_suffix(".js").read_text(encoding="utf-8")
    assert "addEventListener" not in text and "innerHTML" not in text and "http" not in text
    assert all(line.count("`") % 2 == 0 for line in text.splitlines()), "indentation is left out"


def test_the_links_of_the_class_lead_to_scenes():
    page = (REPOSITORY / "docs" / "teaching.md").read_text(encoding="utf-8")
    links = [urlsplit(link) for link in re.findall(r"`(/[a-z]*(?:\?[^`]*)?)`", page)]
    lessons = set()
    for link in links:
        assert link.path == "/" or (REPOSITORY / "pages" / f"{link.path[1:]}.py").is_file(), link
        asked = dict(parse_qsl(link.query))
        if link.path != "/guide" or not asked:
            continue
        lesson, step = LESSONS[int(asked.pop("lesson")) - 1], int(asked.pop("step"))
        lessons.add(lesson.name)
        known = {choice.name: choice.options for choice in lesson.choices}
        assert 1 <= step <= len(lesson.steps) and asked.pop("present", "1") == "1"
        assert all(value in known[name] for name, value in asked.items()), link
    assert lessons == set(NAMES)
