import pytest

from dfml.bench.summary import accuracy_notes, accuracy_table, summarise


def row(method, accuracy, *, seed=0, shots=5, adapt="steps", bn="transductive", ci95=0.01, seconds=10.0):
    return {
        "method": method, "accuracy": accuracy, "seed": seed, "shots": shots, "adapt": adapt, "bn": bn, "ci95": ci95,
        "seconds": seconds, "side_information": [], "adversarial_steps": 0, "learner": "maml", "adapt_steps": 10,
        "inner_lr": 0.01,
    }  # fmt: skip


def only(rows):
    (entry,) = summarise(rows)
    return entry


def test_one_seed_keeps_its_interval_over_episodes():
    entry = only([row("purer", 0.4, ci95=0.013)])
    assert entry["columns"] == [{"adapt": "steps", "bn": "transductive", "accuracy": 0.4, "ci95": 0.013}]
    assert entry["seeds"] == [0] and entry["gap_closed"] is None


def test_several_seeds_are_averaged_with_an_interval_by_students_t():
    entry = only([row("purer", a, seed=s, seconds=t) for s, (a, t) in enumerate([(0.40, 10), (0.44, 20), (0.42, 30)])])
    (column,) = entry["columns"]
    assert column["accuracy"] == pytest.approx(0.42) and entry["seconds"] == 20 and entry["seeds"] == [0, 1, 2]
    # Standard deviation 0.02, and 4.303 is the 97.5 % quantile of t with two degrees of freedom.
    assert column["ci95"] == pytest.approx(4.303 * 0.02 / 3**0.5, rel=1e-3)
    assert "| purer | 0, 1, 2 | 5 | 42.00 ± 4.97 | – | – | – | 20 | none |" in accuracy_table([entry])


def references():
    return [
        row("random", 0.30), row("random", 0.40, adapt="centroid"),
        row("random", 0.99, adapt="centroid", bn="inductive"),
        row("real-data", 0.28), row("real-data", 0.60, adapt="centroid"),
    ]  # fmt: skip


def test_the_gap_takes_the_better_transductive_column_of_each():
    rows = [*references(), row("purer", 0.45), row("purer", 0.35, adapt="centroid"), row("average", 0.36)]
    gaps = {entry["method"]: entry["gap_closed"] for entry in summarise(rows)}
    assert gaps == pytest.approx({"random": 0, "real-data": 1, "purer": 0.25, "average": -0.2})
    summary = summarise(rows)
    text = accuracy_table(summary)
    assert "gap closed" in text and "| 25 % |" in text and "| -20 % |" in text
    notes = " ".join(accuracy_notes(rows, summary, episodes=600, query=15, episode_seed=0))
    assert "better of its two transductive columns" in notes and "over episodes" in notes and "Student" not in notes


@pytest.mark.parametrize(
    "rows",
    [
        [r for r in references() if r["method"] == "random"],
        [r for r in references() if r["method"] == "real-data"],
        [r for r in references() if r["adapt"] == "steps"],  # the ceiling is below the floor
        [r | {"shots": 1 if r["method"] == "random" else 5} for r in references()],
    ],
)
def test_no_gap_without_a_floor_and_a_ceiling_above_it(rows):
    summary = summarise([*rows, row("purer", 0.45)])
    assert all(entry["gap_closed"] is None for entry in summary)
    assert "gap closed" not in accuracy_table(summary)
