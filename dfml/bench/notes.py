"""What a reader of the table of ``bench accuracy`` must know, one sentence or two each."""

from __future__ import annotations

from dfml.bench.job import EPISODE_SEED, QUERY
from dfml.bench.summary import CEILING, FLOOR, Rows


def accuracy_notes(rows: Rows, summary: Rows, failures: Rows | None = None, *, episodes: int) -> list[str]:
    """The notes below the table, in the order of its columns."""
    several = any(len(entry["seeds"]) > 1 for entry in summary)
    interval = "± is the 95 % interval over episodes."
    if several:
        interval = (
            "Rows of several seeds: the mean of the seeds' accuracies, ± is the 95 % interval of that mean by "
            "Student's t over the seeds (all seeds see the same episodes, so the choice of episodes is not in "
            "it). Rows of one seed: ± is the 95 % interval over episodes."
        )
    notes = [
        f"Accuracies in per cent over {episodes} episodes of {QUERY} queries a class, drawn once from seed "
        f"{EPISODE_SEED}. {interval}",
        "steps: gradient steps of the inner loop; centroid: nearest class centroid of the features. "
        "transductive: normalised with the query batch's statistics; inductive: with the support set's.",
    ]
    if len({entry.get("data") for entry in summary}) > 1:
        notes.append("mean of several data sets: each counts the same; its ± takes their episodes as independent.")
    if any(entry["gap_closed"] is not None for entry in summary):
        notes.append(
            f"gap closed: (method - {FLOOR}) / ({CEILING} - {FLOOR}) at the same number of shots, where each of the "
            "three counts with the better of its two transductive columns (steps, centroid), chosen on these same "
            f"episodes. 0 % is no better than {FLOOR}, 100 % as good as {CEILING}, below 0 % worse than {FLOOR}."
        )
    notes += _costs(rows, several)
    for why in dict.fromkeys(r["not_validated"] for r in rows if "not_validated" in r):
        methods = ", ".join(dict.fromkeys(r["method"] for r in rows if r.get("not_validated") == why))
        notes.append(f"Without validation while training, so without what a method does with it: {methods}: {why}")
    for method in dict.fromkeys(r["method"] for r in rows):
        notes.append(_method_note([r for r in rows if r["method"] == method]))
    if any(failed["kind"] != "cannot" for failed in failures or []):
        notes.append("Runs that failed or were stopped are tried again, from where they were, by the same command.")
    return notes


def provenance_notes(runs: Rows) -> list[str]:
    """Which program trained which runs, one note each where there are several.

    Args:
        runs: With method, seed, commits (git in older ones), versions, device, threads and created (UTC).
    """
    found: dict[str, list[str]] = {}
    for run in runs:
        commits = run.get("commits") or [run.get("git")]
        known = [f"{c[:12]}{' with changes' * c.endswith('+')}" if c else "unknown" for c in commits]
        by = f"commit {', then '.join(known)}, torch {run['versions'].get('torch')}, {run['device']}, "
        by += f"{run['threads']} threads, on {run['created'][:10]}"
        found.setdefault(by, []).append(run["method"])
    return [f"Trained by {by}: {', '.join(dict.fromkeys(methods))}." for by, methods in found.items()]


def _costs(rows: Rows, several: bool) -> list[str]:
    mean = "; the mean over seeds" if several else ""
    notes = [f"seconds: wall clock of training, its own validation and test included{mean}."]
    crowded = {(r["method"], r.get("rate"), r["seed"]): r["jobs"] for r in rows if (r.get("jobs") or 1) > 1}
    if crowded:
        most = max(crowded.values())
        methods = ", ".join(dict.fromkeys(name for name, *_ in crowded))
        notes.append(
            f"Up to {most} runs were side by side on this machine and shared its threads: do not believe the seconds "
            f"of {methods}."
        )
    if any("preparation_seconds" in r for r in rows):
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
        kept = "; of kept recoveries those that the run met" if any("preparation_seconds" in r for r in rows) else ""
        notes.append(f"queries: pictures that teachers answered, where a method counts them{kept}.")
    return notes


def _method_note(rows: Rows) -> str:
    r = rows[0]
    extra = ""
    for name, words in (("adversarial_steps", "adversarial steps"), ("inversions", "inversions")):
        counts = list({(row.get("rate"), row["seed"]): row.get(name) or 0 for row in rows}.values())
        extra += f", {' and '.join(map(str, counts))} {words}" if any(counts) else ""
    if all(row["adapt"] == "centroid" for row in rows):
        whole = "" if r.get("one_model", True) else ", a reference that needs the whole zoo and is not one model"
        return f"{r['method']}: no inner loop, centroids only{whole}{extra}."
    return f"{r['method']}: {r['learner']}, {r['adapt_steps']} inner steps at rate {r['inner_lr']:g} at test{extra}."
