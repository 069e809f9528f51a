import pytest

from dfml.bench.accuracy.accuracy_table import accuracy_notes, accuracy_table, forgetting_table, gains_table, summarise


def row(method, accuracy, *, seed=0, shots=5, adapt="steps", bn="transductive", ci95=0.01, seconds=10.0, **more):
    return {
        "method": method, "accuracy": accuracy, "seed": seed, "shots": shots, "adapt": adapt, "bn": bn, "ci95": ci95,
        "seconds": seconds, "side_information": [], "adversarial_steps": 0, "learner": "maml", "adapt_steps": 10,
        "inner_lr": 0.01, **more,
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


def notes_of(rows, failures=None):
    return accuracy_notes(rows, summarise(rows), failures, episodes=600)


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
    notes = " ".join(notes_of(rows))
    assert "better of its two transductive columns" in notes and "over episodes" in notes and "Student" not in notes


@pytest.mark.parametrize(
    "rows",
    [
        [r for r in references() if r["method"] == "random"],
        [r for r in references() if r["method"] == "real-data"],
        [r for r in references() if r["adapt"] == "steps"],  # the reference is below the floor
        [r | {"shots": 1 if r["method"] == "random" else 5} for r in references()],
    ],
)
def test_no_gap_without_a_floor_and_a_reference_above_it(rows):
    summary = summarise([*rows, row("purer", 0.45)])
    assert all(entry["gap_closed"] is None for entry in summary)
    assert "gap closed" not in accuracy_table(summary)


def cells(text, first):
    """The cells of the table's line that begins with some cells, by the names of their columns."""
    header, _, *lines = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()]
    (line,) = [line for line in lines if line[: len(first)] == list(first)]
    return dict(zip(header, line, strict=True))


def test_costs_are_means_over_seeds_and_dashes_where_nothing_was_measured():
    costs = {"peak_memory_mib": 1000.0, "preparation_seconds": 60.0, "queries": 1e6}
    rows = [row("tgr", 0.5, seed=0, **costs), row("tgr", 0.5, seed=1, **{**costs, "peak_memory_mib": 1500.0})]
    text = accuracy_table(summarise([*rows, row("random", 0.4)]))
    tgr, random = cells(text, ["tgr"]), cells(text, ["random"])
    assert (tgr["preparation s"], tgr["peak MiB"], tgr["queries"]) == ("60", "1,250", "1,000,000")
    assert (random["preparation s"], random["peak MiB"], random["queries"]) == ("–", "–", "–")


def test_a_model_without_gradient_steps_has_dashes_and_counts_with_its_centroids():
    rows = [*references(), row("ensemble-features", 0.7, adapt="centroid")]
    entry = next(e for e in summarise(rows) if e["method"] == "ensemble-features")
    assert entry["gap_closed"] == pytest.approx(1.5)
    shown = cells(accuracy_table([entry]), ["ensemble-features"])
    assert shown["steps, transductive"] == "–" and shown["centroid, transductive"].startswith("70.00")
    assert any(note.startswith("ensemble-features: no inner loop") for note in notes_of(rows))
    rows[-1]["one_model"] = False
    whole = "centroids only, a reference that needs the whole zoo and is not one model."
    assert f"ensemble-features: no inner loop, {whole}" in notes_of(rows)


def test_rates_of_pollution_are_rows_of_their_own_with_their_own_references():
    rows = [row(m, a, rate=r) for r, of in ((0, (0.3, 0.5, 0.7)), (40, (0.3, 0.4, 0.5)))
            for m, a in zip(("random", "teapot", "real-data"), of, strict=True)]  # fmt: skip
    summary = summarise(rows)
    assert {(e["method"], e["rate"]): e["gap_closed"] for e in summary if e["method"] == "teapot"} == pytest.approx(
        {("teapot", 0): 0.5, ("teapot", 40): 0.5}
    )
    assert cells(accuracy_table(summary), ["teapot", "40 %"])["steps, transductive"].startswith("40.00")


def test_several_data_sets_have_a_row_each_and_their_average():
    rows = [
        row(m, a, data=d, ci95=c)
        for m, values in {"random": (0.3, 0.5), "purer": (0.4, 0.7)}.items()
        for d, a, c in zip(("cifar-fs", "omniglot"), values, (0.03, 0.04), strict=True)
    ]
    summary = summarise(rows)
    assert [(e["method"], e["data"]) for e in summary] == [
        (m, d) for m in ("random", "purer") for d in ("cifar-fs", "omniglot", "mean of 2")
    ]
    (column,) = next(e for e in summary if (e["method"], e["data"]) == ("purer", "mean of 2"))["columns"]
    assert column["accuracy"] == pytest.approx(0.55) and column["ci95"] == pytest.approx(0.025)
    shown = cells(accuracy_table(summary), ["purer", "mean of 2"])
    assert shown["steps, transductive"] == "55.00 ± 2.50"
    assert any("each counts the same" in note for note in notes_of(rows))


def test_a_run_without_numbers_has_a_line_that_says_why():
    failures = [
        {"method": "average", "seed": 0, "scenario": "SH", "rate": None, "kind": "cannot", "reason": "mixed | nets"},
        {"method": "free", "seed": 0, "scenario": "SH", "rate": None, "kind": "failed", "reason": "died"},
    ]
    rows = [row("random", 0.3)]
    text = accuracy_table(summarise(rows), failures)
    assert "| average | 0 | – |" in text and "does not work here: mixed \\| nets |" in text
    assert cells(text.replace("\\|", "/"), ["free"])["side information"] == "failed: died"
    assert "tried again" in " ".join(notes_of(rows, failures))
    assert "tried again" not in " ".join(notes_of(rows, failures[:1]))
    assert accuracy_table([], failures[:1]).count("\n") == 2


def test_timings_of_runs_side_by_side_are_said_to_be_unreliable():
    rows = [row("random", 0.3, jobs=1), row("purer", 0.4, jobs=2), row("tgr", 0.4, jobs=None)]
    (note,) = [note for note in notes_of(rows) if "side by side" in note]
    assert note.startswith("Up to 2 runs") and note.endswith("seconds of purer.")


def test_what_training_forgot_is_a_table_of_its_own():
    known = {"validation_peak": 0.5, "validation_last": 0.4, "validation_variation": 0.1}
    head, text = forgetting_table([row("teapot", 0.5, rate=20, **known), row("random", 0.3, rate=20)])
    assert "validation classes" in head and "| teapot | 20 % | 0 | 50.00 | 40.00 | 10.00 |" in text
    assert text.count("\n") == 2 and forgetting_table([row("random", 0.3)]) == []


def test_what_a_calibration_changed_is_a_table_of_its_own():
    head, text = gains_table([row("purer", 0.5, data="cifar-fs", gain=0.021, gain_ci95=0.004), row("random", 0.3)])
    assert "calibration" in head and "| purer | 0 | cifar-fs | 5 | +2.10 ± 0.40 | – | – | – |" in text
    assert gains_table([row("random", 0.3)]) == []
