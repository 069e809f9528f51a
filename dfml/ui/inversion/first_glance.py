"""What the page shows above everything where no own run is: one recorded picture on its way out of noise."""

import streamlit as st

from dfml.core.errors import BadInput
from dfml.ui.components.tile_grid import tile_grid
from dfml.ui.inversion.moment import moment_of, path_of
from dfml.ui.inversion.recoveries import stored_recoveries
from dfml.ui.runs.panel import Watched
from dfml.ui.runs.run_rows import recorded_rows, run_rows
from dfml.ui.widgets.texts import plain

SIDE, STEPS = 56, 10


def first_glance() -> None:
    """Draw the way of a picture of the first recorded recovery that has one; nothing where there are own runs."""
    if run_rows("invert"):
        return
    for row in recorded_rows("invert"):
        for recovery in stored_recoveries(row.run):
            name = recovery.method
            try:
                moment = moment_of(Watched(name, row.run, row.run.status()), recovery.teacher, recovery, 1.0)
            except BadInput:
                continue
            if not moment.pictures or not moment.settled:
                continue
            # That of which the judge is surest: it shows its class best to another network.
            one = max(moment.pictures, key=lambda found: found.judge.asked if found.judge else -found.position)
            path = path_of(moment, one.position, most=STEPS)
            if len(path) < 2:
                continue
            captions = [str(frame.step) for frame, _ in path]
            alt = f"a recovered {one.name} at {len(path)} steps, from noise to the end"
            tile_grid([image for _, image in path], key="glance", alt=alt, captions=captions, side=SIDE, pick=False)
            whose = f"teacher {recovery.teacher}, {name}, picture {one.position + 1}"
            st.caption(f"From noise to **{plain(one.name)}**, by step: {plain(whose)}, a recorded recovery.")
            return
