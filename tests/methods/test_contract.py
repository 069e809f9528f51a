"""What every registered method must do."""

import copy
import dataclasses
import itertools
import math

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.events import Checkpoint, Done, Images, Note, Progress, SafePoint, Scalars
from dfml.data.folders import load_split
from dfml.meta.model import MetaModel
from dfml.methods import METHODS
from dfml.nets.checkpoint import load_checkpoint, save_checkpoint
from dfml.training import context
from dfml.training.context import Training
from dfml.training.options import AdaptConfig
from dfml.training.taking_part import ALL, SOME
from tests import conditions
from tests.methods.small import SIZES, small

LONG = [n for n in METHODS if METHODS.get(n).long]
# Methods on the teachers' weights have steps, but neither tasks nor pictures nor validation episodes.
ON_DATA = [n for n in LONG if METHODS.get(n).space == "data"]
ITERATIONS = 8
WHOLE = {"iterations": ITERATIONS, "validate_every": 3, "validation_episodes": 3, "keep": "best"}
"""Of a whole run on data here, with three validations."""
FEW = {"iterations": 2, "warm_up": 1, "warm_start": 1, "generate_interval": 1, "boundary_after": 1}
"""Of one that only has to come through all that a method does."""


def short(name, **changes):
    """A method and its small config, on data that of a whole run with changes."""
    return small(name, **({**WHOLE, **changes} if name in ON_DATA else changes))


def few(name, **changes):
    """A method and its small config, on data with as few iterations as meet all its parts."""
    known = METHODS.get(name).Config.model_fields
    return small(name, **{key: value for key, value in FEW.items() if key in known}, **changes)


def started(method, config, zoo, patterns, device="cpu", seed=0):
    """The events of a run, which comes as far as they are taken."""
    generator = torch.Generator().manual_seed(conditions.seed(seed))
    return method(config).train(Training(zoo, data=str(patterns), device=torch.device(device), generator=generator))


def finite(events):
    """Whether all numbers of a run's curves are finite."""
    return all(math.isfinite(v) for e in events if isinstance(e, Scalars) for v in e.values.values())


def test_only_those_that_must_claim_an_exemption():
    """Of the methods that are measured; another one says for itself."""
    ours = [METHODS.get(name) for name in METHODS if METHODS.get(name).__module__.startswith("dfml.methods.")]
    assert {m.name for m in ours if m.one_architecture} >= {"average", "dro", "ota"}
    for name in ("purer", "bidf-mkd", "teapot", "free", "tgr", "distill", "best-teacher", "ensemble-features"):
        assert METHODS.get(name).asks_teachers and not METHODS.get(name).one_architecture, name


def tensors(state, *beginnings):
    """The tensors of a checkpoint whose names begin so."""
    return {k: v for k, v in state.items() if isinstance(v, torch.Tensor) and k.startswith(beginnings or "")}


def alike(state, other):
    """Whether two checkpoints hold the same tensors; seconds differ."""
    a, b = tensors(state), tensors(other)
    return state.keys() == other.keys() and a.keys() == b.keys() and all(torch.equal(v, b[k]) for k, v in a.items())


@pytest.fixture(autouse=True)
def _often_embedded(monkeypatch):
    monkeypatch.setattr(context, "EMBED_EVERY", 4)


@pytest.fixture(scope="module")
def finished():
    """What several tests look at, by method: no run is made twice, and none of them may change what it looks at."""
    return {}


@pytest.fixture
def small_run(finished, tiny_zoo, patterns):
    """The events of a method's whole run of seed 0, and copies of its checkpoints by step, made as they came."""

    def whole(name):
        if name not in finished:
            events, copies = [], {}
            for event in started(*short(name), tiny_zoo, patterns):
                events.append(event)
                if isinstance(event, Checkpoint):
                    copies[event.step] = copy.deepcopy(event.state)
            finished[name] = events, copies
        return finished[name]

    return whole


@pytest.fixture
def left_run(finished, tiny_zoo, patterns, monkeypatch):
    """States by step at the safe points of the same run, left in its second validation, else in its sixth step."""

    def left(name):
        if (name, "left") in finished:
            return finished[name, "left"]
        with monkeypatch.context() as patched:
            patched.setattr(context, "CHECKPOINTS", 1)
            events, kept = started(*short(name), tiny_zoo, patterns), {}
            for e in events:
                assert e.step not in kept, "what follows a safe point in its step would be done twice"
                if isinstance(e, SafePoint):
                    kept[e.step] = copy.deepcopy(e.state())
                if e.step == 6 and (name not in ON_DATA or getattr(e, "text", "") == "validating, 2 of 3 episodes"):
                    events.close()
        return finished.setdefault((name, "left"), kept)

    return left


@pytest.mark.parametrize("name", list(METHODS))
def test_it_ends_with_a_meta_model_and_finite_numbers(name, small_run, tmp_path):
    events = small_run(name)[0]
    assert finite(events)
    assert isinstance(events[0], Progress) or any(isinstance(e, Progress) for e in events)
    model = events[-1].result
    assert isinstance(events[-1], Done) and isinstance(model, MetaModel)
    assert model.details["method"] == name and isinstance(model.details["side_information"], list)
    if name in ON_DATA and METHODS.get(name).asks_teachers:
        assert model.details["queries"] > 0, "who asks teachers says how often"
    model.save(tmp_path / "m")
    again, x = MetaModel.load(tmp_path / "m"), torch.rand(6, *model.input_size)
    with torch.no_grad():
        assert torch.equal(again.net(again.prepare(x)), model.net(model.prepare(x)))


@pytest.mark.parametrize("name", [n for n in ON_DATA if METHODS.get(n).asks_teachers])
def test_what_is_shown_is_called_as_its_teachers_call_it(name, small_run, tiny_zoo):
    known = {called for card in tiny_zoo.cards for called in card.classes}
    shown = [e for e in small_run(name)[0] if isinstance(e, Images) and e.tag in ("pictures", context.TASK)]
    assert shown
    for event in shown:
        assert len(event.names) == len(event.labels) == len(event.images) and known.issuperset(event.names)
        if event.tag == context.TASK:
            assert len(set(event.names)) == len(event.names), "a task has no class twice"


@pytest.mark.parametrize("name", list(METHODS))
def test_it_says_who_takes_part_before_anything_is_learned(name, small_run):
    events = small_run(name)[0]
    told = events[-1].result.details.get("taking_part")
    if not METHODS.get(name).asks_teachers:
        assert told is None
        return
    alone = getattr(small(name)[1], "taught_by", "all") == "one"
    assert (told["taking_part"], told["of"], bool(told["left_out"])) == (1 if alone else 3, 3, alone)
    (place,) = (i for i, e in enumerate(events) if isinstance(e, Note) and e.kind in (ALL, SOME))
    assert events[place].kind == (SOME if alone else ALL)
    assert not any(isinstance(e, Scalars | Images | Checkpoint) for e in events[:place])


@pytest.mark.parametrize("name", ON_DATA)
def test_a_seed_gives_the_same_weights_and_another_seed_others(name, small_run, left_run, tiny_zoo, patterns):
    events = started(*short(name), tiny_zoo, patterns, seed=1)
    step, other = next((e.step, copy.deepcopy(e.state)) for e in events if isinstance(e, Checkpoint))
    next(events)
    events.close()
    first, again, other = (tensors(s, "outer/params/") for s in (small_run(name)[1][step], left_run(name)[step], other))
    assert first and all(torch.equal(first[k], again[k]) for k in first)
    assert any(not torch.equal(first[k], other[k]) for k in first)


@pytest.mark.parametrize("name", [n for n in METHODS if n not in ON_DATA])
def test_a_seed_gives_the_same_model_and_another_seed_another(name, run, small_run):
    first = small_run(name)[0][-1].result.net.state_dict()
    again, other = (run(*short(name), seed=s)[-1].result.net.state_dict() for s in (0, 1))
    assert all(torch.equal(first[k], again[k]) for k in first)
    # A reference that is the zoo itself draws nothing.
    assert any(not torch.equal(first[k], other[k]) for k in first) == METHODS.get(name).one_model


@pytest.mark.parametrize("name", LONG)
def test_it_could_be_kept_at_the_end_of_every_step(name, small_run, left_run):
    whole, kept = small_run(name)[1], left_run(name)
    assert list(kept) == [1, 2, 3, 4, 5]
    assert all(alike(state, whole[step]) for step, state in kept.items())


@pytest.mark.parametrize("name", LONG)
def test_left_and_resumed_from_the_disk_equals_uninterrupted(name, run, small_run, left_run, tmp_path):
    events, whole = small_run(name)
    save_checkpoint(tmp_path / "step.safetensors", left_run(name)[5])
    state, _ = load_checkpoint(tmp_path / "step.safetensors")
    rest = run(*short(name), state=state)
    after = [e for e in events if isinstance(e, Scalars) and e.step > 5]
    assert [(e.step, e.values) for e in rest if isinstance(e, Scalars)] == [(e.step, e.values) for e in after]
    again = [e for e in rest if isinstance(e, Checkpoint)]
    assert [e.step for e in again] == [step for step in whole if step > 5]
    assert all(alike(e.state, whole[e.step]) for e in again)
    a, b = events[-1].result.net.state_dict(), rest[-1].result.net.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("name", ON_DATA)
def test_a_long_validation_says_how_far_it_is(name, small_run):
    events = small_run(name)[0]
    told = [e.text for e in events if isinstance(e, Progress) and e.step == 3 and e.text.startswith("validating")]
    assert told == [f"validating, {n} of 3 episodes" for n in range(1, 4)]


@pytest.mark.parametrize("name", [n for n in METHODS if n not in LONG])
def test_what_keeps_nothing_can_be_stopped_half_way_and_done_again(name, run, small_run, tiny_zoo, patterns):
    whole = small_run(name)[0]
    events = started(*short(name), tiny_zoo, patterns)
    seen = list(itertools.islice(events, len(whole) // 2))
    events.close()
    assert not any(isinstance(e, Done | Checkpoint) for e in seen)
    again = run(*short(name))[-1].result.net.state_dict()
    assert all(torch.equal(value, again[key]) for key, value in whole[-1].result.net.state_dict().items())


@pytest.mark.parametrize("name", LONG)
def test_a_checkpoint_is_flat_copied_and_survives_the_disk(name, small_run, tmp_path):
    events, copies = small_run(name)
    kept = [(e.state, copies[e.step]) for e in events if isinstance(e, Checkpoint)]
    first, last = kept[0][1], kept[-1][1]
    assert all(not isinstance(v, dict) for v in first.values())
    weights = [k for k, v in tensors(first).items() if v.is_floating_point()]
    assert any(not torch.equal(first[k], last[k]) for k in weights if k in last), "nothing was learned between them"
    for state, then in kept:
        for k, v in then.items():
            same = torch.equal(state[k], v) if isinstance(v, torch.Tensor) else state[k] == v
            assert same, f"{k} moved along with the training: a live reference"
    path = tmp_path / "step.safetensors"
    save_checkpoint(path, first)
    back, _ = load_checkpoint(path)
    assert back.keys() == first.keys()
    for k, v in first.items():
        assert torch.equal(back[k], v) if isinstance(v, torch.Tensor) else back[k] == v


@pytest.mark.parametrize("name", ON_DATA)
def test_it_shows_what_it_does(name, small_run):
    events = small_run(name)[0]
    seen = {key for e in events if isinstance(e, Scalars) for key in e.values}
    assert {"train/loss", "train/accuracy", "val/accuracy", "val/ci95", "tasks/diversity", "grad/alignment"} <= seen
    steps = [e.step for e in events if isinstance(e, Progress)]
    assert steps == sorted(steps) and set(steps) == set(range(1, ITERATIONS + 1))
    if METHODS.get(name).data_free:
        assert any(isinstance(e, Images) and e.images.min() >= 0 and e.images.max() <= 1 for e in events)


@pytest.mark.parametrize("name", ON_DATA)
@pytest.mark.parametrize("learner", ["anil", "protonet"])
def test_it_trains_with_every_learner(name, learner, run):
    events = run(*few(name, learner=learner))
    model = events[-1].result
    assert any("train/loss" in e.values for e in events if isinstance(e, Scalars)), "it came to its outer steps"
    assert model.learner.name == learner


@pytest.mark.parametrize(
    ("way", "says"), [(7, "not validated: sample:cifar-fs/val has 5 classes"), (6, "The last weights are kept")]
)
def test_more_classes_than_sample_and_probe_have_cost_only_the_measurements(
    way, says, run, patterns, tiny_zoo, monkeypatch
):
    from dfml.training import validation

    split = dataclasses.replace(load_split(patterns, "val"), name="sample:cifar-fs")
    monkeypatch.setattr(validation, "data_source", lambda zoo, data: data or "sample:cifar-fs")
    monkeypatch.setattr(validation, "load_split", lambda *_, **__: split)
    method, config = short("purer", way=way, keep="best")
    events = run(method, config, data=None)
    assert any(isinstance(e, Note) and says in e.text for e in events)
    seen = {key for e in events if isinstance(e, Scalars) for key in e.values}
    assert "train/loss" in seen and not {"val/accuracy", "tasks/diversity"} & seen
    assert events[-1].result.details["side_information"] == [context.SHARED_NAMES]
    with pytest.raises(BadInput, match="has 5 classes"):
        run(method, config, data=str(patterns))


@pytest.mark.parametrize("name", list(METHODS))
def test_its_presets_are_whole_valid_configs_with_a_sentence_for_each_option(name):
    method = METHODS.get(name)
    assert method.title and method.summary and method.reference
    for preset in ("demo", "paper"):
        config = method.preset(preset)
        assert isinstance(config, AdaptConfig) or not method.one_model
        assert method.Config.parse(config.model_dump(mode="json")) == config
    assert all(row["help"].endswith(".") for row in method.Config.describe())
    with pytest.raises(BadInput, match="Did you mean 'demo'"):
        method.preset("dem")


@pytest.mark.parametrize("name", LONG)
def test_its_paper_preset_trains(name, run):
    """Second order, other learners, fresh recoveries, published formulas: all that the demo leaves out."""
    method = METHODS.get(name)
    paper = method.preset("paper")
    config = paper.override({key: value for key, value in SIZES.items() if key in method.Config.model_fields})
    events = run(method, config)
    assert finite(events) and any(isinstance(e, Scalars) and e.values for e in events)
    model = events[-1].result
    weights = model.net.state_dict()
    assert all(torch.isfinite(value).all() for value in weights.values())


@pytest.mark.parametrize("name", list(METHODS))
def test_it_works_with_grey_pictures_of_another_size(name, run, grey_zoo, grey_patterns):
    events = run(*few(name), zoo=grey_zoo, data=str(grey_patterns))
    assert events[-1].result.input_size == (1, 28, 28)


@pytest.mark.parametrize("name", list(METHODS))
def test_it_works_with_a_mixed_zoo_or_says_why_not(name, run, mixed_zoo):
    """A colour Conv4 and a grey ResNet; only averages of weights cannot use both."""
    method, config = few(name)
    if method.one_architecture:
        with pytest.raises(BadInput, match="architecture"):
            run(method, config, zoo=mixed_zoo)
        return
    events = run(method, config, zoo=mixed_zoo)
    assert finite(events)
    assert tuple(events[-1].result.input_size) == (3, 32, 32)
    assert not any(isinstance(e, Note) and e.kind == "rejected" for e in events)


@pytest.mark.parametrize("name", list(METHODS))
def test_a_teacher_out_of_timms_registry_teaches_too_or_the_method_says_why_not(name, run, timm_folder):
    from dfml.zoo import open_zoo

    method, config = few(name)
    if method.one_architecture:
        with pytest.raises(BadInput, match="architecture"):
            run(method, config, zoo=open_zoo(timm_folder))
        return
    events = run(method, config, zoo=open_zoo(timm_folder))
    assert finite(events)
    assert isinstance(events[-1], Done) and not any(isinstance(e, Note) and e.kind == "rejected" for e in events)


@pytest.mark.cuda
@pytest.mark.parametrize("name", LONG)
def test_training_uses_the_gpu_and_agrees_with_the_cpu(name, tiny_zoo, patterns):
    # Long enough for what comes after a warm-up.
    method, config = short(name, **({"iterations": 6} if name in ON_DATA else {}))
    torch.cuda.reset_peak_memory_stats()
    found = {}
    for device in ("cpu", "cuda"):
        events = list(started(method, config, tiny_zoo, patterns, device))
        found[device] = [e.values["train/loss"] for e in events if isinstance(e, Scalars) and "train/loss" in e.values]
    assert torch.cuda.max_memory_allocated() > 0 and found["cpu"]
    assert found["cpu"] == pytest.approx(found["cuda"], rel=0.02)
