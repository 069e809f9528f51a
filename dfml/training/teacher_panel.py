"""A panel of teachers about pictures of the whole memory: ours, beside a method's own tasks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, Literal

import torch
from pydantic import Field

from dfml.core.config import Config
from dfml.core.events import Event, Note, Progress
from dfml.data.episodes import PseudoTask
from dfml.meta.model import MetaModel
from dfml.meta.multi_teacher import MultiHeadStudent, MultiTeacherProtoNet
from dfml.meta.outer import OuterStep, Task
from dfml.tasks.cache import Recoveries
from dfml.tasks.memory import TaskMemory
from dfml.training.teacher_policy import TeacherPolicy

Moved = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
"""Augments pictures [N, C, H, W]."""


class PanelConfig(Config):
    """Options of the panel."""

    panel: int = Field(
        0,
        ge=0,
        le=1000,
        description="Teachers, drawn by reliability, that also label pictures of the whole memory (ours, with "
        "ProtoNet); 0: none.",
    )
    panel_student: Literal["prototypes", "outputs"] = Field(
        "prototypes",
        description="What answers for a teacher of the panel: soft prototypes, beside the tasks of each memory update; "
        "or an output layer of its own that is thrown away at the end, in memory updates of their own.",
    )
    panel_share: float = Field(
        0.5, ge=0, le=1, description="With outputs: share of the memory updates that learn from the panel."
    )
    panel_lr: float = Field(2e-3, gt=0, le=1, description="With outputs: Adam's rate in these updates.")


class MemoryPanel:
    """What a memory update learns from a panel, as the config says.

    Args:
        config: See ``PanelConfig``.
        model: The meta-model; output layers are trained beside it.
        teachers: Ids of all that may be drawn.
        recoveries: Their oracles answer.
        policy: Draws them.
        way: Classes of each.
        count: Pictures of an update.
        moved: Augments what the student sees.
        generator: On the CPU.

    Attributes:
        committee: The output layers, or None where there are none.
    """

    def __init__(
        self,
        config: PanelConfig,
        model: MetaModel,
        teachers: list[str],
        recoveries: Recoveries,
        policy: TeacherPolicy,
        *,
        way: int,
        count: int,
        moved: Moved,
        generator: torch.Generator,
    ) -> None:
        self.config, self.teachers, self.recoveries, self.policy = config, teachers, recoveries, policy
        self.count, self.moved = count, moved
        self.active = config.panel > 0 and model.learner.name == "protonet"
        self.committee = None
        if self.active and config.panel_student == "outputs":
            self.committee = MultiHeadStudent(model, [way] * len(teachers), config.panel_lr, generator)

    def notes(self) -> Iterator[Event]:
        """That there is no panel, where one is asked for, or that it listens to teachers whom the weights distrust."""
        if self.config.panel and not self.active:
            yield Note(0, "no panel of teachers labels the memory: that needs learner=protonet", kind="panel")
        elif self.active and self.config.panel >= len(self.teachers) and self.policy.reward:
            text = (
                "the panel holds all teachers, so the weights choose whose pictures are recovered, not who labels them"
            )
            yield Note(0, text, kind="panel")

    def answers(
        self, found: PseudoTask, memory: TaskMemory, *, step: int, total: int
    ) -> Generator[Event, None, torch.Tensor | None]:
        """What all teachers say of a recovery, logits [N, teachers, way]; None where nobody will need it."""
        if self.committee is None or memory.holds(found):
            return None
        said = []
        for teacher in self.teachers:
            said.append(self.recoveries.oracle((teacher, 0)).logits(found.images))
            yield Progress(step, total, f"asking all teachers about pictures of {found.teacher_id}")
        self.recoveries.cost["queries"] += len(found.images) * len(self.teachers)
        return torch.stack(said, 1)

    def due(self, generator: torch.Generator) -> bool:
        """Whether the next memory update is the panel's alone."""
        return self.committee is not None and float(torch.rand((), generator=generator)) < self.config.panel_share

    def step(self, memory: TaskMemory, falls: float, generator: torch.Generator) -> OuterStep:
        """One step towards the answers of the drawn teachers, at ``falls`` times the rate."""
        assert self.committee is not None, "only due where there are output layers"
        drawn = set(self.policy.draw(self.config.panel, generator))
        images, answers = memory.answered(self.count, generator=generator)
        counts = torch.tensor([t in drawn for t in self.teachers], device=images.device).expand(len(images), -1)
        return self.committee.step(
            [(self.moved(images, generator), answers, counts)], distance="kl", lr=self.config.panel_lr * falls
        )

    def pairs(self, memory: TaskMemory, generator: torch.Generator) -> list[tuple[Task, MultiTeacherProtoNet]]:
        """With prototypes: pictures of the memory and what the drawn teachers say of each; one half is the support."""
        if not self.active or self.committee is not None:
            return []
        x = self.moved(memory.pictures(self.count, generator=generator), generator)
        oracles = [self.recoveries.oracle((t, 0)) for t in self.policy.draw(self.config.panel, generator)]
        said = torch.stack([oracle.logits(x).softmax(1) for oracle in oracles], 1)
        self.recoveries.cost["queries"] += len(x) * len(oracles)
        half = len(x) // 2
        return [((x[:half], said[:half], x[half:], said[half:]), MultiTeacherProtoNet())]

    def parts(self) -> dict[str, Any]:
        """For checkpoints."""
        return {} if self.committee is None else {"committee": self.committee}
