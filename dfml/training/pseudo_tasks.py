"""The tasks that TEAPOT learns: a recovery with its teacher's answers, and recombined ones, perhaps interpolated."""

from collections.abc import Callable

import torch

from dfml.core.config import Options
from dfml.data.episodes import PseudoTask
from dfml.meta.learners import LEARNERS, MetaLearner
from dfml.meta.model import MetaModel
from dfml.meta.outer import InterpolatedLearner, Task, paired
from dfml.tasks.memory import TaskMemory

Seen = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
"""Maps images [N, C, H, W] to what a student sees of them."""


def answered_task(found: PseudoTask, config: Options) -> Task:
    """A recovery as a task whose labels are what its own teacher says of its images.

    Prototypes are made by the wanted classes; a gradient learner distils in its inner loop too. The config has
    ``shot``, ``query`` and ``learner``.
    """
    rows = found.labels.argsort(stable=True).view(found.soft_targets.shape[1], -1)
    support, query = (rows[:, : config.shot].flatten(), rows[:, config.shot : config.shot + config.query].flatten())
    soft = found.soft_targets.softmax(1)
    inner = soft if LEARNERS.get(config.learner).has_outputs else found.labels
    return found.images[support], inner[support], found.images[query], soft[query]


def memory_task(
    memory: TaskMemory, model: MetaModel, config: Options, seen: Seen, generator: torch.Generator
) -> tuple[tuple[Task, MetaLearner | InterpolatedLearner], list[str]]:
    """A recombined task, or by chance two that are interpolated, and how it is learned; and its classes.

    The config has ``way``, ``shot``, ``query`` and ``interpolated``; the generator is on the CPU.
    """
    mixes = float(torch.rand((), generator=generator)) < config.interpolated
    drawn = memory.sample(config.way, config.shot, config.query, mixup=mixes, generator=generator)
    task = _moved(drawn.task, seen, generator)
    if drawn.partner is None:
        return (task, model.learner), drawn.classes
    both = paired(task, _moved(drawn.partner, seen, generator))
    return (both, InterpolatedLearner(model.learner, drawn.share)), drawn.classes


def _moved(task: Task, seen: Seen, generator: torch.Generator) -> Task:
    return seen(task[0], generator), task[1], seen(task[2], generator), task[3]
