"""A sweep: methods times seeds, checked before the first is queued, one at a time on a device."""

import pytest

from dfml.core.errors import BadInput, RunFailed
from dfml.runs import launcher
from dfml.runs.folder import list_runs
from dfml.runs.lab.sweep import MOST_RUNS, configs_of, start_sweep, sweep_specs


@pytest.fixture(scope="module")
def settings(tiny_zoo_folder):
    return {"zoo": str(tiny_zoo_folder), "device": "cpu", "threads": 1}


def test_every_method_meets_every_seed_once_and_a_seed_is_whole_before_the_next(settings):
    configs = configs_of(["purer", "random"], "demo", ["iterations=3", "warm_start=1"])
    specs = sweep_specs(configs, [4, 0, 4], **settings)
    assert [(spec.seed, spec.method) for spec in specs] == [(4, "purer"), (4, "random"), (0, "purer"), (0, "random")]
    assert specs[0].config["iterations"] == 3 and "iterations" not in specs[1].config


@pytest.mark.parametrize(
    ("methods", "seeds", "named"),
    [([], [0], "method"), (["random"], [], "seed"), (["random"], range(MOST_RUNS + 1), str(MOST_RUNS))],
)
def test_nothing_to_do_and_too_much_are_refused(settings, methods, seeds, named):
    with pytest.raises(BadInput, match=named):
        sweep_specs(configs_of(methods, "demo"), seeds, **settings)


def test_what_one_method_cannot_do_is_refused_by_its_name_before_anything_is_queued(settings):
    with pytest.raises(BadInput, match="^real-data: "):
        sweep_specs(configs_of(["random", "real-data"], "demo"), [0], **settings)
    with pytest.raises(BadInput, match="nowhere"):
        configs_of(["random"], "demo", ["nowhere=1"])
    assert list_runs() == []


def test_runs_of_a_sweep_work_one_after_the_other_under_one_group(tools):
    orders = [tools.order({"steps": 4, "sleep": 0.02}, seed=seed) for seed in (0, 1)]
    started = start_sweep(orders)
    for run in started:
        tools.wait_for_state(run, "finished")
    (group,) = {run.spec.group for run in started}
    assert group and [run.spec.seed for run in started] == [0, 1]
    first, second = (run.status() for run in started)
    assert first.started <= second.started and second.started >= first.started + first.seconds - 0.1


def test_what_was_queued_before_a_failure_is_told(tools, monkeypatch):
    def start(spec):
        if spec.seed:
            raise RunFailed("no more processes.")
        return spec

    monkeypatch.setattr(launcher, "start", start)
    with pytest.raises(RunFailed, match="1 run"):
        start_sweep([tools.order({}, seed=seed) for seed in (0, 1)])
