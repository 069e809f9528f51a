"""What each kind of run does: a generator of events whose last is ``Done(a dict for result.json)``."""

from dfml.runs.jobs import build_zoo, invert, train
from dfml.runs.spec import Job

JOBS: dict[str, Job] = {"invert": invert.invert, "pretrain": build_zoo.pretrain, "train": train.train}
"""The work of each kind of run."""
