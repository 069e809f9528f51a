"""The table of what recoveries are worth and what they cost, a row an inverter."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from dfml.ui.inversion.recoveries import StoredRecovery
from dfml.ui.widgets.texts import duration, percent, plain, with_interval

HELP = {
    "Time": "Wall clock of the recovery alone, without warm-up, loading and measuring. It depends on the machine and "
    "on what else it does: compare within one comparison.",
    "Warm-up": "Time that the inverter learned on other teachers before. It is paid once, kept, and serves every later "
    "recovery with the same options and seed. A dash: it needs none.",
    "Passes": "Batches that the teacher computed, forward and backward or forward only. The fair measure of work "
    "where the machine is busy; it leaves out the inverter's own network.",
    "Queries": "Images that the teacher was asked about. What counts where a teacher only answers questions.",
    "Teacher": "Share of the images that their own teacher takes for the class that was asked for. Recovery aims at "
    "just this, so it is high nearly always and says little about what the images show.",
    "Judge": "Share on which a judge agrees: a network of another architecture, trained on the same classes, that no "
    "inverter saw. It says whether the class is in the images for others too. ± is its 95 % interval, which "
    "takes the images for independent and is rather too narrow; guessing gives 1 / classes.",
    "Judge on real": "How often the judge is right on real images that it did not see in training. An agreement near "
    "it means as recognisable, to this judge, as real images; above it does not mean better than real.",
    "Diversity": "How different the images of one class are, in the features of one fixed network: 0 where all are "
    "the same, about 0.3 for real images. It does not say that they look like anything.",
    "BN distance": "How far the statistics of the images are from those that the teacher remembers; lower is nearer. "
    "Inverters lower it directly, and it depends on the number of images: compare it for one teacher and equally "
    "many images only.",
}

WIDTHS = {"Warm-up": 68, "Judge": 108, "Judge on real": 90, "BN distance": 88, "Diversity": 74}
"""Pixels; wide enough for the numbers, narrow enough for a page of 1280."""


def row_of(name: str, report: dict[str, Any]) -> dict[str, str | None]:
    """Return one line of the table: text per column, None where the number cannot be had."""
    warm, judge = report.get("warm_up") or {}, report.get("judge_agreement")

    def told(key: str, form: Callable[[float], str]) -> str | None:
        return None if report.get(key) is None else form(report[key])

    return {
        "Inverter": name,
        "Time": brief(report.get("seconds")),
        "Warm-up": brief(warm.get("seconds")) if warm.get("steps") else None,
        "Passes": told("passes", _count),
        "Queries": told("queries", _count),
        "Teacher": told("teacher_accuracy", percent),
        "Judge": None if judge is None else f"{with_interval(judge, report.get('judge_agreement_ci95'))} %",
        "Judge on real": told("judge_accuracy", percent),
        "Diversity": told("diversity", "{:.3g}".format),
        "BN distance": told("bn_distance", "{:.3g}".format),
    }


def brief(seconds: float | None) -> str | None:
    """Return seconds with a digit after the point where they are few: five steps take less than one."""
    if seconds is None:
        return None
    return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s" if seconds < 10 else duration(seconds)


def quality_table(found: Sequence[tuple[str, StoredRecovery | None]], key: str) -> None:
    """Draw one row per inverter (its name, its recovery); those that are not done have dashes."""
    if not any(recovery for _, recovery in found):
        return
    rows = [row_of(name, recovery.report if recovery else {}) for name, recovery in found]
    done = [row for row in rows if row["Teacher"]]
    column = st.column_config.TextColumn
    looks = {name: column(name, help=HELP[name], width=WIDTHS.get(name, 66), alignment="right") for name in HELP}
    st.markdown("**Quality and cost**", help="Point at a column's name, or open the list below, for what it says.")
    st.dataframe(
        {name: [row[name] or "–" for row in rows] for name in rows[0]},
        key=key,
        hide_index=True,
        width="stretch",
        column_config={"Inverter": column("Inverter", width=118, pinned=True), **looks},
        alt="; ".join(f"{row['Inverter']}: teacher accuracy {row['Teacher']}, judge {row['Judge']}" for row in done),
    )
    for name, recovery in found:
        if recovery:
            _remarks(f"**{plain(name)}**: " if len(found) > 1 else "", recovery.report)
    with st.expander("What these numbers say, and what they do not", icon=":material/help:"):
        st.markdown("\n".join(f"- **{name}**: {text}" for name, text in HELP.items()))


def _remarks(title: str, report: dict[str, Any]) -> None:
    """What has to be known beside a row."""
    parts, warm, asked = [], report.get("warm_up") or {}, report.get("oracle") or {}
    if warm.get("met_the_asked"):
        parts.append("this teacher took part in the warm-up, so it was not unseen")
    if warm.get("steps") and warm.get("kept"):
        parts.append("the warm-up was kept from an earlier run")
    if asked.get("kind") == "zeroth-order":
        parts.append(f"asked by queries only, {plain(str(asked.get('q')))} directions per image and step")
    if report.get("judge_agreement") is None:
        parts.append("no judge for this teacher")
    if parts:
        st.caption(f"{title}{'; '.join(parts)}.")


def _count(value: float) -> str:
    return f"{value / 1e6:.3g} M" if value >= 1e6 else f"{value:,.0f}"


def cost_line(report: dict[str, Any]) -> str:
    """Return pictures a second, memory and device of a recovery, as far as they were kept, as Markdown."""
    seconds, images, memory = report.get("seconds"), report.get("images"), report.get("peak_memory_mib")
    warmed = ", warm-up not counted" if (report.get("warm_up") or {}).get("steps") else ""
    parts = [f"{images / seconds:.3g} pictures a second{warmed}"] if seconds and images else []
    if memory:
        gpu = str(report.get("device", "")).startswith("cuda")
        parts.append(f"at most {memory:,.0f} MiB of memory, " + ("of the GPU" if gpu else "libraries included"))
    if device := report.get("device"):
        name = report.get("device_name")
        parts.append("on " + plain(f"{device} ({name})" if name else device))
    return " · ".join(parts)
