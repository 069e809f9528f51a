import json
import math

import pytest
import torch

from dfml.bench.dro_paper import sinusoid_table
from dfml.bench.dro_paper.sinusoid import (
    Settings,
    adapted_errors,
    average,
    draw_nets,
    draw_points,
    draw_tasks,
    errors,
    predict,
    robust,
    train_teachers,
    transported,
)
from dfml.bench.dro_paper.sinusoid_table import SinusoidConfig
from dfml.core.paths import REPOSITORY
from dfml.methods.dro import DroConfig

RESULT = REPOSITORY / "benchmarks" / "results" / "sinusoid.json"
QUICK = Settings(activation="tanh", init="torch", teacher_steps=150, test_steps=30)


def test_tasks_are_the_paper_s_sinusoids():
    tasks = draw_tasks(2000, 0)
    for values, low, high in ((tasks.amplitude, 0.1, 5), (tasks.phase, 0, 2 * math.pi), (tasks.offset, 0, 3)):
        assert low <= values.min() < low + 0.1 and high - 0.1 < values.max() <= high
    x = torch.tensor([[[0.3], [-2.0]]]).expand(2000, -1, -1)
    a, p, b = (float(v[7]) for v in (tasks.amplitude, tasks.phase, tasks.offset))
    assert tasks(x)[7, 1, 0] == pytest.approx(a * math.sin(-2 + p) + b, abs=1e-5)
    points = draw_points(3, 1000, torch.Generator().manual_seed(0))
    assert points.min() < -4.9 and points.max() > 4.9 and points.abs().max() <= 5


def test_a_batch_of_networks_is_so_many_single_ones():
    nets, x = draw_nets(3, QUICK, 0), torch.randn(3, 4, 1)
    together = predict(nets, x, QUICK)
    for t in range(3):
        alone = x[t]
        for position, (weight, bias) in enumerate(nets):
            alone = alone @ weight[t].T + bias[t]
            alone = torch.tanh(alone) if position < 2 else alone
        assert torch.allclose(together[t], alone, atol=1e-6)


def test_first_weights_are_shared_only_where_asked():
    for same in (False, True):
        first, second = draw_nets(2, QUICK, 0, same=same)[1][0]
        assert torch.equal(first, second) == same


def test_teachers_learn_their_own_tasks():
    tasks = draw_tasks(4, 1)
    settings = QUICK.override({"teacher_steps": 600})
    x = draw_points(4, 200, torch.Generator().manual_seed(5))
    found = errors(train_teachers(tasks, settings, 0), x, tasks(x), settings)
    before = errors(draw_nets(4, settings, 0), x, tasks(x), settings)
    assert (found < 0.1 * before).all()


def test_adapting_is_measured_after_each_wanted_number_of_steps_on_the_same_points():
    tasks, start = draw_tasks(20, 2), draw_nets(1, QUICK, 3)
    curve = adapted_errors(start, tasks, 5, QUICK, 0, at=(10, 30))
    (last,) = adapted_errors(start, tasks, 5, QUICK, 0).values()
    assert set(curve) == {10, 30} and torch.equal(curve[30], last)
    assert not torch.equal(curve[10], curve[30])
    for part, kept in zip(start[0], draw_nets(1, QUICK, 3)[0], strict=True):
        assert torch.equal(part, kept), "the initialisation itself must stay"


def test_transport_undoes_a_permutation_that_averaging_suffers_from():
    (first,) = ([(w.clone(), b.clone()) for w, b in draw_nets(1, QUICK, 0)],)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    moved = [(w[:, order], b[..., order]) if i == 0 else (w, b) for i, (w, b) in enumerate(first)]
    moved[1] = (moved[1][0][:, :, order], moved[1][1])
    both = [(torch.cat([a, c]), torch.cat([b, d])) for (a, b), (c, d) in zip(first, moved, strict=True)]
    x = torch.linspace(-5, 5, 20).view(1, 20, 1)
    wanted = predict(first, x, QUICK)
    assert torch.allclose(predict(moved, x, QUICK), wanted, atol=1e-5)
    assert torch.allclose(predict(average(transported(both, 0)), x, QUICK), wanted, atol=1e-5)
    assert not torch.allclose(predict(average(both), x, QUICK), wanted, atol=1e-2)


def test_dro_comes_near_the_average_but_not_to_it():
    teachers = train_teachers(draw_tasks(10, 1), QUICK, 0)
    config = DroConfig(embedding=8, epochs=30, resplit=True, lr=0.03)
    fused, mean = robust(teachers, config, QUICK, 0), average(teachers)
    for (a, _), (b, _), (all_, _) in zip(fused, mean, teachers, strict=True):
        assert a.shape == b.shape and not torch.equal(a, b)
        assert (a - b).norm() < (all_ - b).flatten(1).norm(dim=1).mean()
    again = robust(teachers, config, QUICK, 0)
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(fused, again, strict=True))


def test_the_nearest_candidate_is_chosen_and_every_method_has_as_many_restarts(monkeypatch, tmp_path):
    monkeypatch.setattr(sinusoid_table, "CANDIDATES", [QUICK, QUICK.override({"init": "normal"})])
    monkeypatch.setattr(sinusoid_table, "RESTARTS", 3)
    monkeypatch.setattr(sinusoid_table, "MEASURED_AT", (5, 20))
    monkeypatch.setattr(sinusoid_table, "VALIDATION_TASKS", 12)
    monkeypatch.setattr(sinusoid_table, "TEACHERS", 6)
    found = sinusoid_table.bench_sinusoid(
        SinusoidConfig(out=tmp_path, command="python -m dfml bench sinusoid", tasks=15)
    )
    methods = ("average", "fine-tune", "ota", "dro", "dro re-drawn")
    assert {(r["method"], r["points"]) for r in found["rows"]} == {(m, p) for m in methods for p in (5, 10)}
    for row in found["rows"]:
        assert row["ratio"] == pytest.approx(row["mse"] / row["published"]) and row["ci95"] > 0
        assert len(set(row["restarts"])) == 3, "each has teachers of its own"
        assert row["mse"] == pytest.approx(sum(row["restarts"]) / 3)
        assert row["best"] == pytest.approx(row["restarts"][row["restart"]])
    of = {(r["method"], r["points"]): r for r in found["rows"]}
    assert [(d["method"], d["points"]) for d in found["differences"]] == [(m, p) for m in methods[3:] for p in (5, 10)]
    for row in found["differences"]:
        mine, average = of[row["method"], row["points"]], of["average", row["points"]]
        for column, value in (("all", "mse"), ("best", "best")):
            assert row[column]["mean"] == pytest.approx(mine[value] - average[value], abs=1e-5)
        assert row["ci95_restarts"] > 0
    stored = json.loads((tmp_path / "sinusoid.json").read_text())
    assert len(stored["candidates"]) == 4
    nearest = min(stored["candidates"], key=lambda row: row["off_by"])
    assert stored["settings"] == nearest["settings"]
    text = (tmp_path / "sinusoid.md").read_text()
    assert "validation tasks" in text and "Wang et al." in text and "fine-tune" in text


def test_the_restart_is_chosen_by_both_numbers_of_points():
    found = [
        {("m", 5): torch.tensor([a]), ("m", 10): torch.tensor([b])} for a, b in ((1.0, 9.0), (3.0, 2.0), (9.0, 1.0))
    ]
    assert sinusoid_table.best_restart(found, "m") == 1


def test_chosen_restarts_repeat_the_published_errors_within_thirty_per_cent():
    stored = json.loads(RESULT.read_text())
    assert stored["tasks"] == 500 and len(stored["rows"]) == 10
    for row in stored["rows"]:
        published = sinusoid_table.PUBLISHED[row["method"]][row["points"]]
        assert row["published"] == published and 0.7 <= row["best"] / published <= 1.3, row
        assert row["mse"] == pytest.approx(sum(row["restarts"]) / sinusoid_table.RESTARTS)


def test_in_the_committed_table_dro_is_not_worse_than_the_average():
    for difference in json.loads(RESULT.read_text())["differences"]:
        assert difference["all"]["mean"] - difference["ci95_restarts"] <= 0
        assert difference["best"]["mean"] - difference["best"]["ci95"] <= 0


def test_the_committed_settings_are_the_nearest_candidate_on_validation_tasks():
    stored = json.loads(RESULT.read_text())
    nearest = min(stored["candidates"], key=lambda row: row["off_by"])
    assert stored["settings"] == nearest["settings"]
    known = [c.model_dump(exclude={"test_steps"}) for c in sinusoid_table.CANDIDATES]
    assert {k: v for k, v in nearest["settings"].items() if k != "test_steps"} in known
