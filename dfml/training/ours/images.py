"""Recovered images as a student sees them: mirrored and moved, revised by all teachers, or labelled by a panel."""

from collections.abc import Generator, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from dfml.core.events import Event, Note, Progress
from dfml.data.episodes import PseudoTask
from dfml.inversion.consensus import ConsensusConfig
from dfml.meta.model import MetaModel
from dfml.meta.multi_teacher import MultiHeadStudent, MultiTeacherProtoNet
from dfml.meta.outer import Moved, OuterStep, Task, TaskLoss, as_it_is
from dfml.tasks.cache import Recoveries
from dfml.tasks.consensus_cache import ConsensusRecoveries
from dfml.tasks.memory import TaskMemory
from dfml.training.options import PanelConfig, RecoveringConfig
from dfml.training.refusals import need_consensus
from dfml.training.taking_part import everyone
from dfml.training.teacher_policy import TeacherPolicy
from dfml.zoo.build.classifier import augment
from dfml.zoo.oracles.asking import AskingConfig
from dfml.zoo.zoo import Zoo


def may_mirror(zoo: Zoo, flip: bool) -> bool:
    """Whether images of a zoo are mirrored: not where a teacher sees grey ones, which may be characters."""
    return flip and all(card.input_size[0] == 3 for card in zoo.cards)


class Augmenter:
    """Mirrors and moves images at random, by up to ``shift`` pixels; what moves in at the border is black."""

    def __init__(self, zoo: Zoo, *, flip: bool, shift: int) -> None:
        self.flip, self.shift = may_mirror(zoo, flip), shift

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Images x [N, C, H, W] in [0, 1] as the student sees them."""
        return augment(x, flip=self.flip, shift=self.shift, generator=generator)


def revised(plain: Recoveries, config: RecoveringConfig, asking: AskingConfig | None) -> Recoveries:
    """The same recoveries after ``config.consensus`` sweeps over the zoo.

    Raises:
        BadInput: They are fresh, or of teachers that give no gradients.
    """
    zoo = plain.zoo
    need_consensus(zoo, config, asking=asking is not None)
    sweeps = ConsensusConfig(sweeps=config.consensus, shift=config.shift, flip=config.flip)
    return ConsensusRecoveries(plain, everyone(zoo).ids, sweeps)


class MemoryPanel:
    """What a memory update learns from a panel of teachers, sampled by ``policy``, about images of the whole memory.

    An update takes ``count`` images, which the student sees ``moved``; ``heads`` are the output layers that are
    trained beside the model, or None. The generator is on the CPU.
    """

    def __init__(
        self,
        config: PanelConfig,
        model: MetaModel,
        recoveries: Recoveries,
        policy: TeacherPolicy,
        *,
        count: int,
        moved: Moved,
        generator: torch.Generator,
    ) -> None:
        self.config, self.recoveries, self.policy = config, recoveries, policy
        self.teachers, keys = policy.sampler.ids, recoveries.zoo.class_keys()
        self.ways = {teacher: len(keys[teacher]) for teacher in self.teachers}
        self.count, self.moved, self.generator = count, moved, generator
        self.active = not model.learner.has_outputs
        self.heads = None
        if self.active and config.panel_student == "outputs":
            self.heads = MultiHeadStudent(model, list(self.ways.values()), config.panel_lr, generator)

    def notes(self) -> Iterator[Event]:
        """That there is no panel though one is asked for, or that it listens to teachers whom the weights distrust."""
        if not self.active:
            yield Note(0, "no panel of teachers labels the memory: that needs learner=protonet", kind="panel")
        elif self.config.panel >= len(self.teachers) and self.policy.reward:
            effect = "the weights choose whose images are recovered, not who labels them"
            yield Note(0, f"the panel holds all teachers, so {effect}", kind="panel")

    def answers(
        self, found: PseudoTask, memory: TaskMemory, step: int, total: int
    ) -> Generator[Event, None, torch.Tensor | None]:
        """What all teachers say of a recovery, logits [N, teachers, way]; None where nobody will need it."""
        if self.heads is None or memory.holds(found):
            return None
        said = []
        for teacher in self.teachers:
            said.append(self.recoveries.ask(teacher, found.images))
            yield Progress(step, total, f"asking all teachers about images of {found.teacher_id}")
        return side_by_side(said, -torch.inf)

    def due(self) -> bool:
        """Whether the next memory update is the panel's alone."""
        return self.heads is not None and float(torch.rand((), generator=self.generator)) < self.config.panel_share

    def step(self, memory: TaskMemory, falls: float) -> OuterStep:
        """One step towards the answers of the drawn teachers, at ``falls`` times the learning rate."""
        assert self.heads is not None
        drawn = set(self.policy.draw(self.config.panel, self.generator))
        images, answers = memory.answered(self.count, generator=self.generator)
        counts = torch.tensor([t in drawn for t in self.teachers], device=images.device).expand(len(images), -1)
        batch = (self.moved(images, self.generator), answers, counts)
        return self.heads.step([batch], distance="kl", lr=self.config.panel_lr * falls)

    def pairs(self, memory: TaskMemory) -> list[tuple[Task, MultiTeacherProtoNet]]:
        """With prototypes: images of the memory and what the drawn teachers say of each; one half is the support."""
        if not self.active or self.heads is not None:
            return []
        x = self.moved(memory.images(self.count, generator=self.generator), self.generator)
        drawn = self.policy.draw(self.config.panel, self.generator)
        said = side_by_side([self.recoveries.ask(teacher, x).softmax(1) for teacher in drawn], 0.0)
        half, ways = len(x) // 2, [self.ways[teacher] for teacher in drawn]
        return [((x[:half], said[:half], x[half:], said[half:]), MultiTeacherProtoNet(ways))]

    def parts(self) -> dict[str, Any]:
        """For checkpoints; "committee" is what earlier ones call the output layers."""
        return {} if self.heads is None else {"committee": self.heads}


def seen_and_panel(
    config: Any,  # noqa: ANN401 - the options of TEAPOT
    model: MetaModel,
    recoveries: Recoveries,
    policy: TeacherPolicy,
    generator: torch.Generator,
) -> tuple[Moved, MemoryPanel | None]:
    """What TEAPOT's student sees of images, mirrored and moved with ``augment``, and the panel, if there is one."""
    seen: Moved = as_it_is
    if config.augment:
        seen = Augmenter(recoveries.zoo, flip=config.flip, shift=config.shift)
    if not config.panel:
        return seen, None
    count = config.way * (config.shot + config.query)
    return seen, MemoryPanel(config, model, recoveries, policy, count=count, moved=seen, generator=generator)


def side_by_side(answers: Sequence[torch.Tensor], missing: float) -> torch.Tensor:
    """Answers [N, way] of teachers of several ways as one tensor [N, teachers, way], filled up with ``missing``."""
    way = max(each.shape[1] for each in answers)
    return torch.stack([F.pad(each, (0, way - each.shape[1]), value=missing) for each in answers], 1)


def panel_losses(
    model: MetaModel, images: torch.Tensor, teachers: Sequence[str], recoveries: Recoveries
) -> list[TaskLoss]:
    """What each teacher says of the same images of a memory; the first half of them makes its prototypes."""
    prepared, half, panel = model.prepare(images), len(images) // 2, MultiTeacherProtoNet()
    task_losses = []
    for teacher in teachers:
        said = recoveries.ask(teacher, images).softmax(1).unsqueeze(1)
        parts = (prepared[:half], said[:half]), (prepared[half:], said[half:])
        task_losses.append(lambda params, parts=parts: panel.outer(model.net, params, *parts))
    return task_losses
