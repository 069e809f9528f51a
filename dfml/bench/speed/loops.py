"""The loops that ``bench speed`` knows, by their names."""

from dfml.bench.speed.evaluation_loops import EVALUATION
from dfml.bench.speed.meta_loops import META
from dfml.bench.speed.recovery_loops import RECOVERY

LOOPS = {loop.name: loop for loop in [*RECOVERY, *META, *EVALUATION]}
