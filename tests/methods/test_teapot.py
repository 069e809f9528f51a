import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.events import Checkpoint, Note, Progress, Scalars
from dfml.meta.multi_teacher import MultiTeacherProtoNet
from dfml.meta.outer import InterpolatedLearner, OuterLoop
from dfml.training.context import SHARED_NAMES
from dfml.training.ours.trust import FeatureRewards
from tests.methods.small import small

TINY = {
    "capacity": 3,
    "patience": 3,
    "watched_episodes": 2,
    "panel": 2,
    "asked": 2,
    "panel_share": 0.5,
    "init": "random",
}


@pytest.fixture
def batches(monkeypatch):
    """The tasks and learners of each outer step, as they were handed over."""
    found, step = [], OuterLoop.step

    def spy(self, tasks, learners=None):
        tasks = list(tasks)
        found.append((tasks, learners))
        return step(self, tasks, learners)

    monkeypatch.setattr(OuterLoop, "step", spy)
    return found


def asking(events):
    """Steps at which teachers were asked, and whom."""
    texts = {e.step: e.text for e in events if isinstance(e, Progress) and e.text.startswith("new tasks of ")}
    return {step: text.removeprefix("new tasks of ").split(", ") for step, text in texts.items()}


def weights(events):
    """The reliability weights over the run, one dict a time."""
    found = [e.values for e in events if isinstance(e, Scalars) and any(k.startswith("reliability/") for k in e.values)]
    return [{k.removeprefix("reliability/"): v for k, v in values.items()} for values in found]


def test_each_new_task_is_distilled_from_its_own_teacher(run, batches, tiny_zoo):
    """The authors' loop distils all tasks from the last teacher."""
    events = run(*small("teapot", iterations=1, asked=3))
    ((tasks, learners),) = batches
    chosen = asking(events)[1]
    assert learners is None and len(set(chosen)) == 3
    said = {}
    for task, teacher_id in zip(tasks, chosen, strict=True):
        support_x, support_y, query_x, query_y = task
        assert support_y.tolist() == torch.arange(5).repeat_interleave(2).tolist()
        said[teacher_id] = {i: tiny_zoo.teacher(i).logits(query_x).softmax(1) for i in chosen}
        # Recovered pictures are rounded to 16 bits after the teacher saw them.
        assert torch.allclose(query_y, said[teacher_id][teacher_id], atol=0.02)
        for other in set(chosen) - {teacher_id}:
            assert not torch.allclose(query_y, said[teacher_id][other], atol=0.1)
    targets = [task[3] for task in tasks]
    assert all(not torch.equal(a, b) for i, a in enumerate(targets) for b in targets[:i])


def test_a_gradient_learner_distils_in_its_inner_loop_too(run, batches):
    run(*small("teapot", iterations=1, learner="maml"))
    for _, support_y, _, query_y in batches[0][0]:
        assert support_y.shape == (10, 5) and query_y.shape == (15, 5)
        assert torch.allclose(support_y.sum(1), torch.ones(10), atol=1e-5)


@pytest.mark.parametrize(
    ("share", "kinds", "iterations"), [(0.0, {False}, 4), (0.5, {False, True}, 8), (1.0, {True}, 4)]
)
def test_memory_tasks_are_recombined_or_interpolated_by_chance(share, kinds, iterations, run, batches):
    run(*small("teapot", interpolated=share, iterations=iterations, panel=0))
    learners = [learner for _, given in batches if given is not None for learner in given]
    assert len(learners) >= iterations and {isinstance(learner, InterpolatedLearner) for learner in learners} == kinds
    assert all(t[1].dtype == t[3].dtype == torch.int64 for tasks, given in batches if given for t in tasks)


def test_a_panel_of_reliable_teachers_labels_pictures_of_the_whole_memory(run, batches, tiny_zoo):
    cost = {}
    for panel in (0, 2):
        batches.clear()
        details = run(*small("teapot", panel=panel, panel_student="prototypes", iterations=4, patience=9))[
            -1
        ].result.details
        cost[panel] = details["queries"]
        memory_updates = [(tasks, learners) for tasks, learners in batches if learners]
        assert all(len(tasks) == len(learners) == 2 + (panel > 0) for tasks, learners in memory_updates)
    assert cost[2] == cost[0] + len(memory_updates) * 25 * 2
    for (*_, (_, support_p, query_x, query_p)), (*_, learner) in memory_updates:
        assert isinstance(learner, MultiTeacherProtoNet)
        assert support_p.shape == (12, 2, 5) and query_p.shape == (13, 2, 5)
        said = {i: tiny_zoo.teacher(i).logits(query_x).softmax(1) for i in tiny_zoo.ids}
        asked = {i for i in said for k in range(2) if torch.allclose(said[i], query_p[:, k], atol=1e-4)}
        assert len(asked) == 2, "each answers for itself"
    assert not any(
        isinstance(x, MultiTeacherProtoNet) for _, ls in batches_of_another_learner(run, batches) for x in ls
    )


@pytest.mark.parametrize(
    ("share", "kinds", "iterations"), [(0.0, {False}, 4), (0.5, {False, True}, 9), (1.0, {True}, 6)]
)
def test_with_outputs_a_share_of_the_memory_updates_learns_the_panels_answers(
    share, kinds, iterations, run, tiny_zoo, monkeypatch
):
    from dfml.meta.multi_teacher import MultiHeadStudent

    seen, real = [], MultiHeadStudent.step

    def step(self, given, **kw):
        seen.append((given, kw["lr"]))
        return real(self, given, **kw)

    monkeypatch.setattr(MultiHeadStudent, "step", step)
    settings = {"panel": 2, "panel_student": "outputs", "panel_share": share, "patience": 99}
    events = run(*small("teapot", **settings, iterations=iterations, augment=False, decay=True, panel_lr=0.01))
    texts = {
        e.text for e in events if isinstance(e, Progress) and e.text in ("tasks from memory", "answers of the panel")
    }
    assert {"panel" in text for text in texts} == kinds
    rates = [lr for _, lr in seen]
    assert rates == sorted(set(rates), reverse=True) and all(0 < lr <= 0.01 for lr in rates)
    for ((images, answers, counts),), _ in seen:
        assert answers.shape == (len(images), 3, 5)
        assert bool((counts == counts[0]).all()) and int(counts[0].sum()) == 2, "two of three teachers count"
        for position, teacher in enumerate(tiny_zoo):
            # Pictures and answers are kept with 16 bits.
            assert torch.allclose(answers[:, position], teacher.logits(images), atol=0.05)


def batches_of_another_learner(run, batches):
    """Memory updates of a gradient learner, which a panel cannot teach."""
    batches.clear()
    run(*small("teapot", panel=2, iterations=3, patience=9, learner="anil"))
    return [(tasks, learners) for tasks, learners in batches if learners]


@pytest.mark.stochastic
@pytest.mark.parametrize("interpolated", [0, 1])
def test_pictures_from_the_memory_are_augmented_only_where_that_is_wanted(interpolated, run, batches, margin):
    seen = {}
    for wanted in (False, True):
        batches.clear()
        run(*small("teapot", augment=wanted, panel=0, interpolated=interpolated, iterations=4, patience=9))
        # What was moved in is zero, and recovered pictures are not, or hardly ever.
        made = [task for tasks, learners in batches if learners for task in tasks]
        seen[wanted] = []
        for first_or_second in zip(
            *(task[part].chunk(1 + interpolated) for task in made for part in (0, 2)), strict=True
        ):
            pictures = torch.cat(first_or_second)
            edges = torch.cat([pictures[..., 0], pictures[..., -1], pictures[..., 0, :], pictures[..., -1, :]], -1)
            seen[wanted].append(float((edges.flatten(1) == 0).float().mean()))
        assert len(seen[wanted]) == 1 + interpolated
    margin.at_most("share of zeros as recovered", max(seen[False]), 0.05)
    margin.at_least("share of zeros moved in", min(seen[True]), 0.2)


def test_teachers_are_asked_at_the_start_and_where_accuracy_sets_no_new_maximum(run, monkeypatch):
    from dfml.training.teacher_policy import TeacherSampler
    from dfml.training.validation import Watch

    script, watched, learned = [0.3, 0.4, 0.4, 0.3, 0.2, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], [], []
    monkeypatch.setattr(Watch, "accuracy", lambda *_: watched.append(script[len(watched)]) or watched[-1])
    monkeypatch.setattr(TeacherSampler, "learn", lambda *_: learned.append(len(watched)))
    events = run(*small("teapot", iterations=12, patience=3, reward="accuracy"))
    # Maxima at 2 and 6: three steps without one end at 5 and 9. Then the maximum is forgotten, so 10 sets one.
    assert sorted(asking(events)) == [1, 6, 10]
    assert events[-1].result.details["asked_at"] == [5, 9]
    # The policy learns in the fourth step after each asking, and in the last one before the next.
    assert learned == [4, 5, 9]


@pytest.mark.stochastic
def test_a_bad_teacher_loses_its_weight_and_its_place_in_the_memory(run, monkeypatch, tiny_zoo, margin):
    worth = {"000": 0.5, "001": 0.5, "002": 0.1}
    monkeypatch.setattr(FeatureRewards, "worth", lambda self, teacher: worth[teacher])
    tiny_zoo.shared_class_names = False
    method, config = small("teapot", iterations=20, patience=1, policy_lr=0.5, forget=0.25, panel_student="prototypes")
    events = run(method, config, zoo=tiny_zoo)
    start, end = weights(events)[0], weights(events)[-1]
    assert sum(end.values()) == pytest.approx(1) and end == events[-1].result.details["reliability"]
    margin.at_most("weight of the bad teacher", end["002"], 0.25 / 3)
    margin.at_least("weight of the good ones", min(end["000"], end["001"]), 0.2)
    assert max(start.values()) < 0.5
    asked = [t for teachers in asking(events).values() for t in teachers]
    assert asked.count("002") < min(asked.count("000"), asked.count("001"))
    state = [e for e in events if isinstance(e, Checkpoint)][-1].state
    kept = {t for key, value in state.items() if key.startswith("memory/") and key.endswith("teachers") for t in value}
    assert kept == {"000", "001"}


def test_a_teacher_is_worth_its_features_or_its_answers_where_it_shows_no_more(run, monkeypatch, zoo_copy):
    """The second teacher gives gradients only."""
    from dfml.core.paths import read_json, write_json
    from dfml.zoo import open_zoo

    card = zoo_copy / "001" / "dfml.json"
    write_json(card, {**read_json(card, "card"), "access": "gradients"})
    seen, judge = {}, FeatureRewards.centroid_accuracy

    def look(self, name, features):
        seen[name] = features(self.judging[0].query_x[:2]).shape[1]
        return judge(self, name, features)

    monkeypatch.setattr(FeatureRewards, "centroid_accuracy", look)
    zoo = open_zoo(zoo_copy)
    run(*small("teapot", iterations=1, asked=3), zoo=zoo)
    assert seen == {"000": zoo.teacher("000").net.num_features, "001": 5, "002": seen["000"]}


def test_answers_that_earn_a_reward_are_billed(run, zoo_copy):
    from dfml.core.paths import read_json, write_json
    from dfml.zoo import open_zoo

    def queries(**changes):
        return run(*small("teapot", iterations=1, asked=3, panel=0, **changes), zoo=open_zoo(zoo_copy))[
            -1
        ].result.details["queries"]

    shown = queries()
    for name in ("000", "001", "002"):
        card = zoo_copy / name / "dfml.json"
        write_json(card, {**read_json(card, "card"), "access": "gradients"})
    # Twelve episodes of 2 + 15 pictures of each of five classes.
    assert queries() - shown == 3 * 12 * 5 * (2 + 15)
    assert queries(teacher_policy="none") == shown


def test_a_panel_that_the_learner_cannot_use_is_said_to_be_none(run):
    notes = [e for e in run(*small("teapot", iterations=2, learner="maml")) if isinstance(e, Note)]
    assert any(n.kind == "panel" and "learner=protonet" in n.text for n in notes)
    assert not any(n.kind == "panel" for n in run(*small("teapot", iterations=2)) if isinstance(n, Note))


def test_without_weights_all_teachers_stay_alike_and_nothing_is_forgotten(run):
    events = run(*small("teapot", teacher_policy="none", forget=1.0, iterations=6))
    assert not weights(events) and "reliability" not in events[-1].result.details
    side, shared = events[-1].result.details["side_information"]
    assert shared == SHARED_NAMES
    assert side.startswith("labelled validation pictures") and side.endswith(": stop rule")


def test_the_rewards_of_the_paper_are_shared_by_those_asked_last(run, monkeypatch):
    from dfml.training.teacher_policy import TeacherSampler

    given, learn = [], TeacherSampler.learn
    monkeypatch.setattr(
        TeacherSampler,
        "learn",
        lambda self, drawn, rewards: given.append((drawn, rewards)) or learn(self, drawn, rewards),
    )
    published = {"reward": "accuracy", "reward_scale": "percent", "likelihood": "published", "patience": 2}
    method, config = small("teapot", **published, iterations=14)
    events = run(method, config)
    learned = len(given)
    assert given and all(len(set(rewards)) == 1 and 0 <= rewards[0] <= 100 for _, rewards in given)
    middle = next(e for e in events if isinstance(e, Checkpoint) and e.step == 7)
    rest = run(method, config, state=middle.state)
    assert learned < len(given) < 2 * learned, "it has learned before and after"
    assert weights(rest)[-1] == weights(events)[-1], "Adam's moments and the running mean belong to the state"
    assert any(key.startswith("policy/sampler/adam/") for key in middle.state)


def test_without_validation_pictures_it_is_data_free_and_says_so(run):
    method, config = small("teapot", iterations=12)
    events = run(method, config, data=None)
    (note,) = [e for e in events if isinstance(e, Note) and "stop rule" in e.text]
    assert "no weights are learned" in note.text and "no data with a val split" in note.text
    assert events[-1].result.details["side_information"] == [SHARED_NAMES] and not weights(events)
    assert len(asking(events)) >= 2, "the training accuracy fires the stop rule"
    # Asked for, it needs no note.
    events = run(method, config.override({"watch": "training", "teacher_policy": "none", "iterations": 3}))
    assert not any(isinstance(e, Note) and "stop rule" in e.text for e in events)
    assert events[-1].result.details["side_information"] == [SHARED_NAMES]


def test_peak_last_and_variation_are_those_of_the_validation_curve(run):
    events = run(*small("teapot", iterations=6, validate_every=2))
    curve = [e.values["val/accuracy"] for e in events if isinstance(e, Scalars) and "val/accuracy" in e.values]
    expected = {"peak": max(curve), "last": curve[-1], "variation": max(curve) - curve[-1]}
    assert len(curve) == 3
    assert {name: events[-1].result.details[name] for name in expected} == expected
    assert [e.values for e in events if isinstance(e, Scalars)][-1] == {f"val/{n}": v for n, v in expected.items()}


def test_what_it_cost_is_told(run):
    details = run(*small("teapot", iterations=3))[-1].result.details
    assert details["queries"] > 0 and details["passes"] > 0 and details["preparation_seconds"] == 0
    assert sum(details["asked"].values()) == 2 * (1 + sum(step < 3 for step in details["asked_at"]))


def test_a_recovery_that_is_too_small_for_a_task_is_one_clear_line(run):
    with pytest.raises(BadInput, match="2 \\+ 3 images per class, a recovery has 4: raise recovered_per_class"):
        run(*small("teapot", recovered_per_class=4))
    with pytest.raises(BadInput, match="set way"):
        run(*small("teapot", way=40))
