"""The memory: labels survive the round trip, rings are bounded, strangers never merge."""

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.data.episodes import PseudoTask
from dfml.nets.checkpoint import flatten_state
from dfml.tasks.memory import TaskMemory
from tests import conditions

KEYS = {"a": ["cat", "dog", "cow"], "b": ["dog", "elk", "fox"], "c": ["c:0", "c:1", "c:2"]}


def recovered(teacher, value=0.0, per_class=4):
    """Pictures whose brightness tells teacher, slot and number."""
    labels = torch.arange(3).repeat_interleave(per_class)
    number = torch.arange(per_class).repeat(3)
    shade = value + labels / 10 + number / 1000
    images = shade.view(-1, 1, 1, 1).expand(-1, 3, 2, 2).contiguous()
    return PseudoTask(images, labels, torch.zeros(len(labels), 3), teacher, {})


def filled(**kw):
    memory = TaskMemory(KEYS, **kw)
    for position, teacher in enumerate(KEYS):
        memory.add(recovered(teacher, position / 4))
    return memory


def slot_of(picture, value):
    return round((float(picture.mean()) - value) * 10)


def test_pictures_of_a_class_come_back_under_their_own_class():
    memory = filled()
    for seed in range(20):
        drawn = memory.sample(4, 1, 1, generator=torch.Generator().manual_seed(seed))
        x = torch.cat([drawn.task[0], drawn.task[2]])
        y = torch.cat([drawn.task[1], drawn.task[3]])
        for picture, label in zip(x, y.tolist(), strict=True):
            key, shade = drawn.classes[label], float(picture.mean())
            teacher = "abc"[min(2, int((shade + 0.01) / 0.25))]
            assert KEYS[teacher][slot_of(picture, "abc".index(teacher) / 4)] == key


def test_support_and_query_share_no_picture_and_classes_are_distinct():
    memory = filled()
    drawn = memory.sample(5, 2, 2, generator=torch.Generator().manual_seed(0))
    shades = torch.cat([drawn.task[0], drawn.task[2]]).mean((1, 2, 3)).tolist()
    assert len(set(shades)) == len(shades) == 20 and len(set(drawn.classes)) == 5


def test_equal_names_merge_and_unnamed_slots_never_do():
    memory = filled()
    assert memory.classes() == ["cat", "dog", "cow", "elk", "fox", "c:0", "c:1", "c:2"]
    assert memory.classes(least=5) == ["dog"]
    assert memory.can_sample(8, 2, 2) and not memory.can_sample(2, 4, 4)


def test_a_ring_forgets_the_oldest_recovery():
    memory = TaskMemory(KEYS, capacity=2)
    for value in (0.0, 0.3, 0.6):
        memory.add(recovered("a", value))
    assert len(memory) == 3 * 2 * 4 and memory.added == 3
    x = memory.sample(3, 4, 4, generator=torch.Generator().manual_seed(0)).task[0]
    assert float(x.min()) >= 0.29


@pytest.mark.stochastic
def test_mixup_gives_two_tasks_and_an_arcsine_share(margin):
    memory, generator = filled(), torch.Generator().manual_seed(conditions.seed())
    drawn = [memory.sample(3, 1, 1, mixup=True, generator=generator) for _ in range(400)]
    shares = torch.tensor([d.share for d in drawn])
    assert drawn[0].partner is not None and not torch.equal(drawn[0].partner[0], drawn[0].task[0])
    # Beta(1/2, 1/2): mean 1/2, variance 1/8, and P(share < 1/4) = 1/3.
    margin.close("mean", shares.mean(), 0.5, 0.06)
    margin.close("variance", shares.var(), 0.125, 0.02)
    margin.close("share below a quarter", (shares < 0.25).float().mean(), 1 / 3, 0.08)


def test_both_tasks_of_a_mixture_draw_from_all_classes():
    memory, generator = filled(), torch.Generator().manual_seed(0)
    drawn = [memory.sample(3, 1, 1, mixup=True, generator=generator) for _ in range(40)]
    shades = [{round(float(x.mean()), 2) for x in task[0]} for d in drawn for task in (d.task, d.partner)]
    own, partners = shades[::2], shades[1::2]
    assert len(set().union(*own)) == len(set().union(*partners)) >= len(memory.classes())
    assert sum(not a & b for a, b in zip(own, partners, strict=True)) > 0, "some share no class at all"


def test_restored_it_draws_the_same():
    memory = filled(capacity=3)
    memory.add(recovered("b", 0.1))
    again = TaskMemory(KEYS, capacity=3)
    again.load(flatten_state(memory.state()))
    a, b = (m.sample(4, 1, 1, generator=torch.Generator().manual_seed(3)) for m in (memory, again))
    assert a.classes == b.classes and all(torch.equal(x, y) for x, y in zip(a.task, b.task, strict=True))
    before = again.sample(4, 1, 1, generator=torch.Generator().manual_seed(3)).task[0]
    memory.add(recovered("a", 0.9))
    assert torch.equal(before, again.sample(4, 1, 1, generator=torch.Generator().manual_seed(3)).task[0])


def test_bad_input_is_named():
    memory = TaskMemory(KEYS)
    with pytest.raises(BadInput, match="need 2 such classes in memory; 0 of 0"):
        memory.sample(2, 1, 1, generator=torch.Generator())
    with pytest.raises(BadInput, match="knows no teacher 'z'"):
        memory.add(recovered("z"))
    wrong = recovered("a")
    with pytest.raises(BadInput, match="which has 3 classes"):
        memory.add(PseudoTask(wrong.images, wrong.labels + 1, wrong.soft_targets, "a", {}))


def test_a_recovery_that_is_met_again_is_not_stored_twice():
    """Else one picture could stand in the support and in the query set of a task."""
    memory = TaskMemory(KEYS)
    for _ in range(3):
        memory.add(recovered("a"))
    assert memory.added == 3 and len(memory) == 3 * 4 and not memory.can_sample(3, 4, 1)


def test_what_a_teacher_gave_is_forgotten_and_nothing_else():
    memory = filled()
    memory.forget(["a"])
    assert len(memory) == 24 and "cat" not in memory.classes() and "dog" in memory.classes()
    memory.forget(["a", "unknown"])
    assert len(memory) == 24
    memory.add(recovered("a"))
    assert len(memory) == 36 and "cat" in memory.classes()
    memory.forget(KEYS)
    assert len(memory) == 0 and not memory.can_sample(1, 1, 1)


def test_pictures_of_the_whole_memory_are_drawn_without_repetition():
    memory = filled()
    drawn = memory.images(20, generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (20, 3, 2, 2) and len(drawn.flatten(1).unique(dim=0)) == 20
    everything = memory.images(1000, generator=torch.Generator().manual_seed(0))
    assert len(everything) == len(memory) == len(everything.flatten(1).unique(dim=0))


def answers_to(task, teachers=2):
    """Logits that tell which picture they are about."""
    shade = task.images.mean((1, 2, 3))
    return torch.stack([shade * (t + 1) for t in range(teachers)], 1).unsqueeze(2).expand(-1, -1, 3)


def test_answers_stay_with_their_pictures_and_those_of_forgotten_teachers_go():
    memory = TaskMemory(KEYS, capacity=2)
    for position, teacher in enumerate("ab"):
        task = recovered(teacher, position / 4)
        assert not memory.holds(task)
        memory.add(task, answers_to(task))
        assert memory.holds(task)
    memory.add(recovered("c", 0.5))  # nobody was asked about these
    again = TaskMemory(KEYS, capacity=2)
    again.load(flatten_state(memory.state()))
    for store in (memory, again):
        images, answers = store.answered(1000, generator=torch.Generator().manual_seed(0))
        assert len(images) == 24 and answers.shape == (24, 2, 3)
        shades = images.mean((1, 2, 3))
        for teacher in range(2):
            assert torch.allclose(answers[:, teacher, 0], shades * (teacher + 1), atol=2e-3)
        store.forget(["a"])
        images, _ = store.answered(1000, generator=torch.Generator().manual_seed(0))
        assert len(images) == 12 and float(images.min()) > 0.24
        store.forget(["b"])
        with pytest.raises(BadInput, match="no image .*asked"):
            store.answered(1, generator=torch.Generator())
