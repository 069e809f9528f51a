"""Whom a method asks next: the policy of TEAPOT, what teachers earn for it, and what it reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from dfml.core.events import Event, Note, Scalars
from dfml.core.state import part_of_state
from dfml.tasks.cache import Recoveries, Visit
from dfml.training.options import TeacherPolicyConfig
from dfml.training.policy_gradient import AskedTeachers, TeacherSampler
from dfml.training.validation import Watch


class TeacherPolicy:
    """Draws teachers, rewards them, and learns their weights where it may.

    Args:
        config: See ``TeacherPolicyConfig``.
        teachers: Ids.
        watch: Without episodes to watch no weights are learned, and all teachers stay alike.
        recoveries: Their oracles tell what a teacher sees in a picture.

    Attributes:
        sampler: The policy.
        asked: Whom it asked so far.
        reward: What teachers earn, or None where no weights are learned.
    """

    def __init__(self, config: TeacherPolicyConfig, teachers: list[str], watch: Watch, recoveries: Recoveries) -> None:
        self.config, self.watch = config, watch
        self.sampler = TeacherSampler(
            teachers,
            lr=config.policy_lr,
            likelihood=config.likelihood,
            scale=config.reward_scale,
            entropy=config.entropy,
        )
        self.asked = AskedTeachers(len(teachers))
        self.reward = config.reward if config.teacher_policy != "none" and watch.episodes else None
        if self.reward == "features":
            from dfml.training.ours.feature_rewards import FeatureRewards

            self.features = FeatureRewards(watch, recoveries)

    def notes(self) -> Iterator[Event]:
        """Why no weights are learned, where they are asked for, or why the stop rule is another one."""
        if self.watch.why_not:
            text = f"the stop rule follows pseudo tasks, no weights are learned: {self.watch.why_not}"
            yield Note(0, text, "validation")
        elif self.config.teacher_policy != "none" and not self.reward:
            yield Note(0, "no weights are learned: watch=training sees no validation pictures", "validation")

    def draw(self, count: int, generator: torch.Generator) -> list[str]:
        """Ids of different teachers, reliable ones more often."""
        return [self.sampler.ids[position] for position in self.sampler.draw(count, generator)]

    def ask(self, count: int, different: int, generator: torch.Generator) -> list[Visit]:
        """Draw teachers to be asked now.

        Args:
            count: How many.
            different: Recoveries of a teacher before they repeat.
            generator: On the CPU.
        """
        drawn = self.sampler.draw(count, generator)
        numbers = self.asked.ask(drawn, different)
        return [(self.sampler.ids[position], number) for position, number in zip(drawn, numbers, strict=True)]

    def reward_features(self) -> None:
        """Each teacher asked last earns what its own features are worth on new classes (ours)."""
        if self.reward == "features":
            drawn = self.asked.drawn
            self.sampler.learn(drawn, [self.features.worth(self.sampler.ids[position]) for position in drawn])

    def reward_accuracy(self, accuracy: float, due: bool) -> None:
        """Those asked last share the mean watched accuracy, in per cent (published).

        Args:
            accuracy: After this step.
            due: Whether others are asked next.
        """
        earned = self.asked.earned(accuracy, due)
        if self.reward == "accuracy" and earned is not None:
            self.sampler.learn(self.asked.drawn, [100 * earned] * len(self.asked.drawn))

    def distrusted(self) -> Sequence[str]:
        """Teachers whose recoveries are to be forgotten."""
        return self.sampler.below(self.config.forget) if self.reward else []

    def events(self, step: int) -> Iterator[Event]:
        """The weights, where any are learned."""
        if self.reward:
            yield Scalars(step, {f"reliability/{teacher}": w for teacher, w in self.sampler.weights().items()})

    def details(self) -> dict[str, Any]:
        """For the model's card: how often each teacher was asked, and the final weights."""
        found: dict[str, Any] = {"asked": dict(zip(self.sampler.ids, self.asked.counts, strict=True))}
        return {**found, "reliability": self.sampler.weights()} if self.reward else found

    def state(self) -> dict[str, Any]:
        """For checkpoints."""
        return {"sampler": self.sampler.state(), "asked": self.asked.state()}

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()`` from its flat form."""
        self.sampler.load(part_of_state(flat, "sampler"))
        self.asked.load(part_of_state(flat, "asked"))
