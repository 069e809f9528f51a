import pytest
import torch

from dfml.core.events import Done, Progress
from dfml.core.paths import cache_root
from dfml.inversion import INVERTERS
from dfml.inversion.pipeline import warm_up
from dfml.inversion.recipe import Recipe
from tests.inversion.one_teacher import invert_teacher


def make(**changes):
    cls = INVERTERS.get("meta-generator")
    small = {"latent": 8, "width": 8, "per_class": 2, "teachers": 2, "warm_up": 3}
    return cls(cls.preset("demo").override({**small, **changes}))


def run(zoo, work, asked=("000",), seed=0):
    events = list(warm_up(Recipe(zoo, work, seed=seed), list(asked)))
    return events, events[-1].result


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))


def test_the_asked_teacher_is_never_met(tiny_zoo):
    _, found = run(tiny_zoo, make())
    assert found.teachers == 2 and not found.met_the_asked and found.steps == 3 and not found.kept
    _, found = run(tiny_zoo, make(), asked=("000", "001", "002"))
    assert found.teachers == 3 and found.met_the_asked


def test_a_warm_up_is_done_once_and_another_config_or_seed_or_teacher_is_another(tiny_zoo):
    first, again = make(), make()
    _, made = run(tiny_zoo, first)
    events, taken = run(tiny_zoo, again)
    assert taken.kept and taken.seconds == pytest.approx(made.seconds, abs=0.5)
    assert not any(isinstance(e, Progress) and "warming" in e.text for e in events)
    assert all(torch.equal(a, b) for a, b in zip(first.net.parameters(), again.net.parameters(), strict=True))
    for other in (run(tiny_zoo, make(lr=0.02)), run(tiny_zoo, make(), seed=1), run(tiny_zoo, make(), asked=("001",))):
        assert not other[1].kept


@pytest.mark.parametrize("every", [1, 1000])  # when it is left, the step that was done is kept, too
def test_an_interrupted_warm_up_goes_on(tiny_zoo, monkeypatch, every):
    from dfml.inversion import pipeline as room

    monkeypatch.setattr(room, "SAVED_EVERY", every)
    whole = make(warm_up=3)
    run(tiny_zoo, whole, seed=5)
    for path in (cache_root() / "warm-ups").iterdir():
        path.unlink()
    stream = warm_up(Recipe(tiny_zoo, make(warm_up=3), seed=5), ["000"])
    for event in stream:
        if isinstance(event, Progress) and event.step == 2 and "warming" in event.text:
            stream.close()
    second = make(warm_up=3)
    events, found = run(tiny_zoo, second, seed=5)
    assert sum(isinstance(e, Progress) and "warming" in e.text for e in events) == 1
    assert found.steps == 3 and not found.kept
    assert all(torch.equal(a, b) for a, b in zip(whole.net.parameters(), second.net.parameters(), strict=True))


def test_a_damaged_cache_is_made_again(tiny_zoo):
    run(tiny_zoo, make())
    for path in (cache_root() / "warm-ups").glob("*.safetensors"):
        path.write_bytes(b"nonsense")
    assert not run(tiny_zoo, make())[1].kept


def test_inverters_that_use_no_others_have_no_warm_up(tiny_zoo):
    events, found = run(tiny_zoo, INVERTERS.get("pixels")())
    assert found is None and len(events) == 1


def test_the_report_says_what_the_warm_up_was(tiny_zoo):
    config = make().config
    (done,) = [e for e in invert_teacher(tiny_zoo, 0, "meta-generator", config, per_class=2) if isinstance(e, Done)]
    report = done.result.report
    assert report["warm_up"]["teachers"] == 2 and report["warm_up"]["steps"] == 3
    assert report["steps"] == 5 and report["passes"] == 5
