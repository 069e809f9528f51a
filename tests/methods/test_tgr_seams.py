"""What ``train`` of TGR hands to each published part, and that each part changes what is learned."""

import shutil

import numpy as np
import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.events import ZooMap
from dfml.meta import outer
from dfml.methods import tgr
from dfml.methods.tgr import Tgr
from dfml.tasks.cache import Recoveries
from dfml.tasks.memory import TaskMemory
from dfml.tasks.similarity import PROCEDURAL_NAME, Similarity
from dfml.training import plateau, recovered, validation
from dfml.zoo import open_zoo
from dfml.zoo.zoo import write_zoo
from tests.methods.small import small

FAST = {"iterations": 3, "replay_limit": 0, "teachers": 2, "learner": "maml", "student": "head", "init": "random"}
ALONE = {"group_by": "random", "groups": 1}
"""No probe, one group."""


def weights(events):
    return torch.cat([p.detach().flatten() for p in events[-1].result.net.parameters()])


@pytest.fixture
def learned(run):
    """The weights that a short run of a seed ends with."""
    return lambda **changes: weights(run(*small("tgr", **{**FAST, **ALONE, **changes})))


@pytest.fixture
def spied(monkeypatch):
    """Calls of a function by its module and name, which still does its work."""

    def spy(module, name):
        calls, work = [], getattr(module, name)

        def called(*args, **kwargs):
            calls.append((args, kwargs))
            return work(*args, **kwargs)

        monkeypatch.setattr(module, name, called)
        return calls

    return spy


def test_a_group_step_regularises_by_the_config_s_strength_and_form(run, spied):
    calls = spied(tgr, "implicit_gradient")
    changes = {"beta": 0.02, "displacement": "graph", "beta_scale": "relative"}
    run(*small("tgr", **{**FAST, **ALONE, **changes}))
    assert len(calls) == FAST["iterations"]
    for (task_losses, _, beta), how in calls:
        assert len(task_losses) == FAST["teachers"] and beta == 0.02
        assert how == {"keep_graph": True, "scale": "relative"}


def test_each_part_of_a_group_step_changes_what_is_learned(learned):
    changes = [
        {}, {"beta": 0.0}, {"beta": 1e-3, "beta_scale": "relative"}, {"ce": 0.0}, {"kd": 0.0}, {"kd_form": "legacy"},
        {"bn": 0.0}, {"teachers": 3}, {"student": "episode"},
    ]  # fmt: skip
    found = [learned(**each) for each in changes]
    same = [(a, b) for a in range(len(found)) for b in range(a) if torch.equal(found[a], found[b])]
    assert not same
    assert torch.equal(found[0], learned()), "or all this shows nothing"


def test_a_group_step_asks_for_wanted_classes_and_soft_answers_of_the_own_outputs(run, spied):
    calls = spied(outer, "task_loss_of")
    run(*small("tgr", **{**FAST, **ALONE, "ce": 0.3, "kd": 0.7, "kd_form": "legacy"}))
    assert len(calls) == FAST["iterations"] * FAST["teachers"]
    for _, how in calls:
        assert (how["student"], how["ce"], how["kd"], how["form"]) == ("head", 0.3, 0.7, "legacy")


def test_a_round_ends_with_a_replay_of_what_it_and_earlier_ones_recovered(run, spied, learned):
    added, calls = spied(TaskMemory, "add"), spied(plateau, "replay")
    changes = {"replay_limit": 2, "patience": 2}
    run(*small("tgr", **{**FAST, **ALONE, **changes}))
    assert len(added) == FAST["iterations"] * FAST["teachers"] and len(calls) == FAST["iterations"]
    stored = {id(memory) for (memory, *_), _ in added}
    for (loop, memory, config, *_), _ in calls:
        assert {id(memory)} == stored and isinstance(loop, outer.OuterLoop)
        assert (config.patience, config.replay_limit) == (2, 2)
    assert not torch.equal(learned(), learned(**changes))


@pytest.fixture
def six(tiny_zoo_folder, tmp_path):
    """A zoo of six teachers, three of each of two letters."""
    ids = [f"{letter}{number}" for letter in "ab" for number in range(3)]
    for position, name in enumerate(ids):
        shutil.copytree(tiny_zoo_folder / f"00{position % 3}", tmp_path / "six" / name)
    write_zoo(tmp_path / "six", models=ids, name="six")
    return open_zoo(tmp_path / "six")


@pytest.mark.parametrize(("by", "same", "other"), [("dissimilar", 0.1, 0.9), ("similar", 0.9, 0.1)])
def test_groups_hold_teachers_that_are_as_unlike_as_the_config_says(run, six, monkeypatch, by, same, other):
    letters = np.array([name[0] for name in six.ids])
    matrix = np.where(letters[:, None] == letters, same, other)
    np.fill_diagonal(matrix, 1.0)
    asked = []

    def measured(recoveries, teachers, probe, **how):
        asked.append((list(teachers), how))
        yield from ()
        return Similarity(list(teachers), torch.from_numpy(matrix), 0.0)

    monkeypatch.setattr(recovered, "measure_similarity", measured)
    changes = {"groups": 2, "group_by": by, "inversion_steps": 1, "embed_batch": 3}
    events = run(*small("tgr", **{**FAST, **changes}), zoo=six)
    details, told = events[-1].result.details, next(e for e in events if isinstance(e, ZooMap))
    [(ids, how)] = asked
    assert ids == six.ids and how["batch"] == 3 and how["visits"] == 1
    assert list(told.groups) == list(details["groups"].values()) == [0, 0, 0, 1, 1, 1]
    assert details["homogeneity"] == pytest.approx(same)


def test_random_groups_are_dealt_by_the_run_s_seed(run, six):
    changes = {"iterations": 1, "inversion_steps": 1, "group_by": "random", "groups": 2}
    told = [run(*small("tgr", **{**FAST, **changes}), zoo=six, seed=seed)[-1].result.details for seed in range(5)]
    assert len({tuple(details["groups"].values()) for details in told}) > 1


def test_the_probe_that_is_asked_for_compares_the_teachers(run, tiny_zoo_folder, spied):
    calls, found = spied(recovered, "open_probe"), []
    for probe in ("procedural", str(tiny_zoo_folder / "001")):
        events = run(*small("tgr", **{**FAST, "iterations": 1, "probe": probe, "group_by": "dissimilar"}))
        found.append((events[-1].result.details, next(e for e in events if isinstance(e, ZooMap)).similarity))
    assert [args[0] for args, _ in calls] == ["procedural", str(tiny_zoo_folder / "001")]
    (procedural, seen), (real, otherwise) = found
    assert not np.array_equal(seen, otherwise)
    assert procedural["probe"] == PROCEDURAL_NAME != real["probe"]
    told = [set(details["side_information"]) for details in (procedural, real)]
    assert told[1] - told[0] == {real["probe"]} and told[0] <= told[1]


def test_teachers_are_compared_by_images_that_no_other_has_revised(run, spied):
    calls = spied(recovered, "measure_similarity")
    changes = {"iterations": 1, "group_by": "dissimilar", "recovered": "kept", "consensus": 1, "probe": "procedural"}
    run(*small("tgr", **{**FAST, **changes}))
    [((recoveries, *_), _)] = calls
    assert type(recoveries) is Recoveries


def test_the_paper_s_preset_wants_the_paper_s_probe(tiny_zoo, tiny_zoo_folder):
    with pytest.raises(BadInput, match="ResNet-34"):
        Tgr.check_zoo(tiny_zoo, Tgr.preset("paper"))
    Tgr.check_zoo(tiny_zoo, Tgr.preset("paper").override({"probe": str(tiny_zoo_folder / "000")}))
    for preset in ("demo", "published"):
        Tgr.check_zoo(tiny_zoo, Tgr.preset(preset))


def test_a_run_tells_how_well_it_knows_what_it_was_trained_on(run, spied, tiny_zoo):
    calls, adapted = spied(validation, "pseudo_task_accuracy"), spied(validation, "adapted_task")
    changes = {"recovered_per_class": 20, "validation_episodes": 3, "iterations": 2, "query": 3}
    details = run(*small("tgr", **{**FAST, **ALONE, **changes}))[-1].result.details
    [((model, memory, config), _)] = calls
    assert memory.can_sample(config.way, config.shot, 15) and model.details is details
    assert 0 <= details["pseudo_task_accuracy"] <= 1 and details["homogeneity"] is None
    assert validation.pseudo_task_accuracy(model, memory, config) == details["pseudo_task_accuracy"]
    assert validation.pseudo_task_accuracy(model, TaskMemory(tiny_zoo.class_keys()), config) is None
    drawn = torch.Generator().manual_seed(validation.VALIDATION_SEED)
    images = memory.sample(config.way, config.shot, 15, generator=drawn).task[0]
    prepared = adapted[-config.validation_episodes][0][1].support_x
    assert torch.allclose(prepared, model.prepare(images)) and not torch.allclose(prepared, images, atol=0.1)


def test_published_has_nothing_of_ours_but_what_its_page_names():
    published, paper = Tgr.preset("published"), Tgr.preset("paper")
    apart = {key for key, value in published if value != getattr(paper, key)}
    size = {"iterations", "tasks", "replay_limit", "validate_every", "validation_episodes"}
    recovering = {
        "recovered", "visits", "recovered_per_class", "inversion_steps", "inversion_lr", "latent", "generator_width",
        "shift", "embed_visits",
    }  # fmt: skip
    assert apart == size | recovering | {"probe"}
