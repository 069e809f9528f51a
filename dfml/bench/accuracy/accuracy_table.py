"""What the rows of ``bench accuracy`` say together: its table, the smaller ones below it, and the notes."""

from dfml.bench.evaluating import CHOSEN, FIXED_WAYS, OTHER_WAYS
from dfml.bench.job import EPISODE_SEED, QUERY, Row, Rows
from dfml.bench.report import grouped, interval, markdown_table, over_seeds
from dfml.meta.choices import at_the_edge

FLOOR, REFERENCE = "random", "real-data"
"""What a gap is measured from, and to."""
COLUMNS = [f"{way}, {bn}" for way in ("steps", CHOSEN, "centroid", "linear") for bn in ("transductive", "inductive")]
YOUNGER = [column for column in COLUMNS if column.split(", ")[0] in OTHER_WAYS]
"""Columns that are left out where none of them has a number, as in older tables."""
COSTS = {"preparation_seconds": "preparation s", "peak_memory_mib": "peak MiB", "queries": "queries"}
"""Means of what was measured, with their columns; older rows and methods without such costs have none of them."""
NOT_ALWAYS = ("polluted", "data", "gap closed", *COSTS.values())
"""Columns that are left out where they are empty throughout."""
WORDS = {"cannot": "does not work here", "failed": "failed", "stopped": "not finished"}


def over_data(rows: Rows) -> Rows:
    """Rows of the average of several data sets; their episodes are independent, so squares of half widths add up."""
    sources = {r["data"] for r in rows if "data" in r}
    if len(sources) < 2:
        return []
    found = []
    for same in grouped(rows, "method", "variant", "rate", "seed", "shots", "adapt", "bn").values():
        if len(same) == len(sources):
            accuracy = sum(r["accuracy"] for r in same) / len(same)
            half = sum(r["ci95"] ** 2 for r in same) ** 0.5 / len(same)
            found.append({**same[0], "data": f"mean of {len(sources)}", "accuracy": accuracy, "ci95": half})
    return found


def summarise(rows: Rows) -> Rows:
    """One entry a method, variant, rate of pollution, data set and number of shots.

    Returns:
        Entries with method, variant, rate and data (where rows have them), shots, seeds, seconds (mean), costs (means
        of those in ``COSTS`` that were measured), side_information, ``columns`` (adapt, bn, accuracy, ci95 of each)
        and gap_closed: (method - random) / (real data - random), each with the better of its transductive columns
        steps and centroid; None where it is not defined.
    """
    groups = grouped([*rows, *over_data(rows)], "method", "variant", "rate", "shots", "data")
    methods, places = dict.fromkeys(key[:3] for key in groups), dict.fromkeys(key[3:] for key in groups)
    found = [_entry(groups[*a, *b]) for a in methods for b in places if (*a, *b) in groups]
    for beside in grouped(found, "shots", "rate", "data").values():
        best = {
            name_of(e): max(
                (c["accuracy"] for c in e["columns"] if c["bn"] == "transductive" and c["adapt"] in FIXED_WAYS),
                default=None,
            )
            for e in beside
        }
        floor, reference = best.get(FLOOR), best.get(REFERENCE)
        for entry in beside:
            own = best[name_of(entry)]
            entry["gap_closed"] = None
            if floor is not None and reference is not None and own is not None and reference > floor:
                entry["gap_closed"] = (own - floor) / (reference - floor)
    return found


def name_of(row: Row) -> str:
    """What a row or entry is called: its method, or what its preset is called, and its variant, if it has one."""
    called = row.get("called", row["method"])
    return f"{called}, {row['variant']}" if row.get("variant") else called


def _entry(mine: Rows) -> Row:
    columns = {f"{adapt}, {bn}": same for (adapt, bn), same in grouped(mine, "adapt", "bn").items()}
    means = {column: over_seeds(columns[column]) for column in COLUMNS if column in columns}
    seconds = {r["seed"]: r["seconds"] for r in mine}
    entry = {
        "method": mine[0]["method"],
        **{name: mine[0][name] for name in ("variant", "rate", "data", "called") if name in mine[0]},
        "shots": mine[0]["shots"],
        "seeds": list(seconds),
        "seconds": sum(seconds.values()) / len(seconds),
        "side_information": mine[0]["side_information"],
        "columns": [
            {**dict(zip(("adapt", "bn"), column.split(", "), strict=True)), "accuracy": mean, "ci95": half}
            for column, (mean, half) in means.items()
        ],
    }
    for name in COSTS:
        if known := {r["seed"]: r[name] for r in mine if name in r}:
            entry[name] = sum(known.values()) / len(known)
    return entry


def accuracy_table(summary: Rows, failures: Rows | None = None) -> str:
    """One line an entry, then one for each run that gave nothing."""
    several = len({entry.get("data") for entry in summary}) > 1
    lines = []
    for e in [*summary, *(failures or [])]:
        line = {"method": name_of(e), "polluted": None if e.get("rate") is None else f"{e['rate']} %"}
        if "reason" in e:
            why = f"{WORDS[e['kind']]}: {e['reason']}".replace("|", "\\|")
            lines.append({**line, "seeds": e["seed"], "side information": why})
            continue
        gap = e["gap_closed"]
        lines.append(
            {
                **line,
                "data": e["data"] if several else None,
                "seeds": ", ".join(map(str, e["seeds"])),
                "shots": e["shots"],
                **{f"{c['adapt']}, {c['bn']}": interval(c["accuracy"], c["ci95"]) for c in e["columns"]},
                "gap closed": None if gap is None else f"{100 * gap:.0f} %",
                "seconds": f"{e['seconds']:.0f}",
                **{title: f"{e[name]:,.0f}" for name, title in COSTS.items() if name in e},
                "side information": ", ".join(e["side_information"]) or "none",
            }
        )
    titles = ["method", "polluted", "data", "seeds", "shots", *COLUMNS, "gap closed", "seconds", *COSTS.values()]
    known = {title for line in lines for title, cell in line.items() if cell is not None}
    left_out = {*NOT_ALWAYS} - known | ({*YOUNGER} if known.isdisjoint(YOUNGER) else set())
    shown = [title for title in titles if title not in left_out]
    return markdown_table(" | ".join([*shown, "side information"]), "", lines)


def forgetting_table(rows: Rows) -> list[str]:
    """A heading and a table of what was forgotten while training, one line a run; empty where nothing is known."""
    known = grouped([r for r in rows if "validation_peak" in r], "method", "variant", "rate", "seed")
    if not known:
        return []
    header = "method | polluted | seed | peak | last | variation"
    cells = "{name} | {rate} % | {seed} | {validation_peak:±} | {validation_last:±} | {validation_variation:±}"
    if all(key[2] is None for key in known):
        header, cells = header.replace("polluted | ", ""), cells.replace("{rate} % | ", "")
    table = markdown_table(header, cells, [{**run[-1], "name": name_of(run[-1])} for run in known.values()])
    return ["Accuracy on validation classes while training (per cent):", table]


def gains_table(rows: Rows) -> list[str]:
    """A heading and a table of what the calibration changed, one line a run and shots; empty without one."""
    lines = []
    gains = grouped([r for r in rows if "gain" in r], "method", "variant", "rate", "seed", "data", "shots")
    for (_, _, rate, *_), run in gains.items():
        method = name_of(run[0])
        cells = {f"{r['adapt']}, {r['bn']}": f"{100 * r['gain']:+.2f} ± {100 * r['gain_ci95']:.2f}" for r in run}
        lines.append({**run[0], **cells, "method": method if rate is None else f"{method}, {rate} %"})
    if not lines:
        return []
    columns = [column for column in COLUMNS if column not in YOUNGER]
    table = markdown_table(" | ".join(["method", "seed", "data", "shots", *columns]), "", lines)
    return ["What the calibration changed, over the same episodes (points):", table]


def choice_table(rows: Rows) -> list[str]:
    """A heading and a table of the rates and steps that validation classes chose, one line a run, data set and shots.

    Empty where none were chosen.
    """
    chosen = [r for r in rows if r.get("chosen") and r["bn"] == "transductive"]
    if not chosen:
        return []
    several = {name for name in ("seed", "data") if len({r[name] for r in chosen}) > 1}
    titles = [title for title in ("method", "seed", "data", "shots") if title in {"method", "shots"} | several]
    lines = []
    for r in chosen:
        found = r["chosen"]
        edge = at_the_edge(found["tried"], found["inner_lr"], found["test_steps"])
        lines.append(
            {
                **r,
                "method": name_of(r),
                "learning rate": f"{found['inner_lr']:g}",
                "steps": f"{found['test_steps']}{', an outermost candidate' if edge else ''}",
                "on validation classes": interval(found["accuracy"], found["ci95"]),
                "test": interval(r["accuracy"], r["ci95"]),
            }
        )
    table = markdown_table(" | ".join([*titles, "learning rate", "steps", "on validation classes", "test"]), "", lines)
    return ["Learning rate and steps that were chosen on validation classes (transductive, per cent):", table]


def accuracy_notes(rows: Rows, summary: Rows, failures: Rows | None = None, *, episodes: int) -> list[str]:
    """What a reader of the table must know, in the order of its columns."""
    several = any(len(entry["seeds"]) > 1 for entry in summary)
    spread = "± is the 95 % interval over episodes."
    if several:
        spread = (
            "Rows of several seeds: the mean of the seeds' accuracies, ± is the 95 % interval of that mean by "
            "Student's t over the seeds (all seeds see the same episodes, so the choice of episodes is not in "
            "it). Rows of one seed: ± is the 95 % interval over episodes."
        )
    notes = [
        f"Accuracies in per cent over {episodes} episodes of {QUERY} queries per class, sampled once from seed "
        f"{EPISODE_SEED}. {spread}",
        "steps: gradient steps of the inner loop; centroid: nearest class centroid of the features. "
        "transductive: normalised with the query batch's statistics; inductive: with the support set's.",
    ]
    if any(r["adapt"] == "linear" for r in rows):
        notes.append(
            "linear: logistic regression on the features of the support set, which stay as they are, with the same "
            "fixed penalty for all (L2, as scikit-learn's C=1 on centred features of mean squared length 1)."
        )
    if chosen := [r["chosen"] for r in rows if r.get("chosen")]:
        rates, counts = ({tried[name] for tried in chosen[0]["tried"]} for name in ("inner_lr", "test_steps"))
        notes.append(
            "chosen steps: gradient steps whose learning rate and number were chosen for each trained model and "
            f"number of shots on {chosen[0]['episodes']} episodes of validation classes, the same for all, out of "
            f"{', '.join(f'{rate:g}' for rate in sorted(rates))} and {', '.join(map(str, sorted(counts)))} steps. "
            "That is side information of this column alone: labelled pictures of validation classes."
        )
    if len({entry.get("data") for entry in summary}) > 1:
        notes.append("mean of several data sets: each counts the same; its ± takes their episodes as independent.")
    if any(entry["gap_closed"] is not None for entry in summary):
        notes.append(
            f"gap closed: (method - {FLOOR}) / ({REFERENCE} - {FLOOR}) at the same number of shots, where each of the "
            "three counts with the better of its two transductive columns (steps, centroid), chosen on these same "
            f"episodes. 0 % is no better than {FLOOR}, 100 % as good as {REFERENCE} (a reference, which a method can "
            f"surpass), below 0 % worse than {FLOOR}."
        )
    notes += _cost_notes(rows, several)
    for (seed,), mine in grouped([r for r in rows if "recovery_seed" in r], "recovery_seed").items():
        methods = ", ".join(dict.fromkeys(map(name_of, mine)))
        shared = "; their intervals over seeds leave out what recovering varies" * (len({r["seed"] for r in mine}) > 1)
        notes.append(f"Learned from kept recoveries of recovery_seed {seed}{shared}: {methods}.")
    for why, unseen in grouped([r for r in rows if "not_validated" in r], "not_validated").items():
        methods = ", ".join(dict.fromkeys(map(name_of, unseen)))
        notes.append(f"Without validation while training, so without what a method does with it: {methods}: {why[0]}")
    notes += [_method_note(mine) for mine in grouped(rows, "method", "variant").values()]
    if any(failed["kind"] != "cannot" for failed in failures or []):
        notes.append("Runs that failed or were stopped are tried again, from where they were, by the same command.")
    return notes


def _cost_notes(rows: Rows, several: bool) -> list[str]:
    mean = "; the mean over seeds" if several else ""
    notes = [f"seconds: wall clock of training, its own validation and test included{mean}."]
    crowded = [r for r in rows if (r.get("jobs") or 1) > 1]
    if crowded:
        methods = ", ".join(dict.fromkeys(r["method"] for r in crowded))
        notes.append(
            f"Up to {max(r['jobs'] for r in crowded)} runs were side by side on this machine and shared its threads: "
            f"do not believe the seconds of {methods}."
        )
    prepared = any("preparation_seconds" in r for r in rows)
    if prepared:
        notes.append(
            "preparation s: work on the zoo that is done once for all runs of a method's config and kept (`zoo "
            "prepare`), in seconds of one thread; it is not in the column seconds."
        )
    bare = [r["bare_memory_mib"] for r in rows if r.get("memory_of") == "cpu" and r.get("bare_memory_mib")]
    kinds = {r["memory_of"] for r in rows if "memory_of" in r}
    if "cpu" in kinds:
        before = f", of which {sum(bare) / len(bare):,.0f} before any work" if bare else ""
        notes.append(f"peak MiB: most memory of the training process, libraries included{before}.")
    if kinds - {"cpu"}:
        notes.append(f"peak MiB on {', '.join(sorted(kinds - {'cpu'}))}: most memory allocated on the device.")
    if any("queries" in r for r in rows):
        kept = "; of kept recoveries those that the run met" if prepared else ""
        notes.append(f"queries: images that teachers answered, where a method counts them{kept}.")
    return notes


def _method_note(rows: Rows) -> str:
    r, extra = rows[0], ""
    for name, words in (("adversarial_steps", "adversarial steps"), ("inversions", "inversions")):
        counts = list({(row.get("rate"), row["seed"]): row.get(name) or 0 for row in rows}.values())
        extra += f", {' and '.join(map(str, counts))} {words}" if any(counts) else ""
    if all(row["adapt"] == "centroid" for row in rows):
        whole = "" if r.get("one_model", True) else ", a reference that needs the whole zoo and is not one model"
        return f"{name_of(r)}: no inner loop, centroids only{whole}{extra}."
    steps = f"{r['adapt_steps']} inner steps at learning rate {r['inner_lr']:g} at test"
    return f"{name_of(r)}: {r['learner']}, {steps}{extra}."


def provenance_notes(runs: Rows) -> list[str]:
    """Which program trained which runs, one note each where there are several."""
    found: dict[str, list[str]] = {}
    for run in runs:
        commits = run.get("commits") or [run.get("git")]
        known = [f"{c[:12]}{' with changes' * c.endswith('+')}" if c else "unknown" for c in commits]
        by = f"commit {', then '.join(known)}, torch {run['versions'].get('torch')}, {run['device']}, "
        by += f"{run['threads']} threads, on {run['created'][:10]}"
        found.setdefault(by, []).append(run["method"])
    return [f"Trained by {by}: {', '.join(dict.fromkeys(methods))}." for by, methods in found.items()]
