"""What learning may be asked, without torch."""

from typing import Literal

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
    inner_steps: int = Field(5, ge=1, le=200, description="Inner steps while training.")
    first_order: bool = Field(False, description="Drop second derivatives in the outer gradient (FOMAML).")
