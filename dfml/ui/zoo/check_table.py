"""What may go wrong with a zoo, at a glance: from its cards, and from the last check, which a button repeats."""

import json
from typing import Any

import streamlit as st

from dfml.ui.widgets.texts import one_line_errors, plain, table_height
from dfml.ui.zoo.zoo_errand import ZooErrand, check_of, checks, draw_waiting
from dfml.zoo.kept_checks import KeptCheck, at_a_glance, kept_check
from dfml.zoo.listing import ZooListing


def check_panel(zoo: ZooListing) -> None:
    """Draw what the cards tell, the last check in a sentence, and a box with its table and the way to a new one."""
    if zoo.address:
        return
    folder = zoo.folder.resolve()
    # In this order: a check that ends meanwhile is still waited for, and its end draws the page anew.
    errand = check_of(folder)
    working = errand is not None and errand.outcome is None
    kept = kept_check(folder)
    lines = [f":material/warning: {plain(line)}" for line in at_a_glance(zoo.teachers)]
    if kept:
        sign = ":material/rule:" if kept.wrong or kept.problems else ":material/check_circle:"
        lines.append(f"{sign} Checked {kept.when[:10]}: {plain(kept.sentence)}")
    st.caption("  \n".join([*lines] if kept else [*lines, ":material/help: Its teachers have not been checked yet."]))
    if errand and working:
        draw_waiting(errand, "Checking", key="check", forget=lambda: checks().pop(folder, None))
    look: dict[str, Any] = {
        "key": "check",
        "icon": ":material/fact_check:",
        "on_change": "rerun",
        "bind": "query-params",
    }
    with st.expander("Check this zoo", **look) as box:
        if box.open:
            _panel(zoo, kept, errand, working=working)


def _panel(zoo: ZooListing, kept: KeptCheck | None, errand: ZooErrand | None, *, working: bool) -> None:
    st.caption(
        "Loads every teacher, shows it noise, and looks at its answers: they must be numbers (not NaN or infinite) and "
        "no probabilities yet (*logits*), differ from image to image, and be no copy of another teacher's. With images "
        "of their classes, accuracy is measured, too."
    )
    if working:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        hint = "optional: class folders that they learnt from"
        data = st.text_input("Images", key="check_data", placeholder=hint, max_chars=4000) or ""
        if st.button("Check all teachers", icon=":material/fact_check:", key="check_now"):
            order = {"work": "check", "zoo": str(zoo.folder), "data": data.strip()}
            checks()[zoo.folder.resolve()] = ZooErrand(**order)
            st.rerun()
    if errand and "problem" in errand.outcome:
        st.error(plain(errand.outcome["problem"]), icon=":material/error:")
    if kept:
        with one_line_errors():
            _table(zoo, kept)


def _table(zoo: ZooListing, kept: KeptCheck) -> None:
    def share(value: float | None) -> float | None:
        return None if value is None else 100 * value

    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    rows = sorted(kept.rows, key=lambda row: not row.problems)
    columns = {
        "id": [row.id for row in rows],
        "findings": ["; ".join([*row.problems, *row.remarks]) or "none" for row in rows],
        "claimed": [share(row.claimed) for row in rows],
        **({"measured": [share(row.measured) for row in rows]} if kept.data else {}),
        "confidence": [share(row.confidence) for row in rows],
        "architecture": [row.architecture for row in rows],
        "input": [row.input for row in rows],
        "way": [row.way for row in rows],
    }
    percent: dict[str, Any] = {"format": "%.1f %%", "width": "small"}
    st.dataframe(
        columns,
        hide_index=True,
        height=table_height(len(rows), 8),
        column_config={
            "id": text("Teacher", width="small"),
            "findings": text("Findings", width="large"),
            "claimed": number("Claimed", **percent),
            "measured": number("Measured", help="Accuracy on the given images.", **percent),
            "confidence": number("Sure of noise", help="Mean probability of its likeliest class on noise.", **percent),
            "architecture": text("Architecture", width="small"),
            "input": text("Input", width="small"),
            "way": number("Classes", width="small"),
        },
        alt=f"Table of {len(rows)} checked teachers",
        key=f"checked:{zoo.reference}",
    )
    for model, reason in list(kept.problems.items())[:10]:
        st.error(plain(f"{model}: {reason}"), icon=":material/error:")
    st.download_button(
        "What was found (JSON)",
        json.dumps(kept.told(), ensure_ascii=False, indent=1),
        f"{zoo.folder.name}-check.json",
        "application/json",
        icon=":material/download:",
        on_click="ignore",
        key="check_json",
    )
