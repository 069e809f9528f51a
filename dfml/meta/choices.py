"""What learning may be asked, without torch."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from dfml.core.config import Config

KdForm = Literal["correct", "legacy"]
"""The distillation loss: see ``learners.kd_loss``."""
Distance = Literal["kl", "mse"]
"""How far answers are apart: see ``multi_teacher``."""
StudentOf = Literal["head", "episode"]
"""What is taught of a teacher: see ``outer.task_loss_of``."""
BetaScale = Literal["absolute", "relative"]
"""How far a task is displaced: see ``implicit_gradient``."""


class LearnerConfig(Config):
    """How a learner adapts."""

    inner_lr: float = Field(0.01, gt=0, le=10, description="Learning rate of the inner loop.")
    inner_steps: int = Field(5, ge=0, le=200, description="Inner steps while training; 0: none (for comparisons).")
    first_order: bool = Field(False, description="Drop second derivatives in the outer gradient (FOMAML).")


RATES = (0.01, 0.03, 0.1, 0.3)
"""Inner learning rates that are tried on validation classes, where one is chosen."""
CHOICE_EPISODES = 40
"""Episodes of validation classes on which learning rate and steps are chosen."""


def at_the_edge(rows: Iterable[Mapping[str, Any]], rate: float, steps: int) -> bool:
    """Whether the chosen pair is an outermost one where others were tried, so that one outside may be better.

    The candidates are ``inner_lr`` and ``test_steps`` of ``rows``.
    """
    rows = list(rows)
    tried = [({r[name] for r in rows}, chosen) for name, chosen in (("inner_lr", rate), ("test_steps", steps))]
    return any(len(values) > 1 and chosen in {min(values), max(values)} for values, chosen in tried)
