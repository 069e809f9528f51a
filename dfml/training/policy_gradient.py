"""How far each teacher can be relied on, learned from rewards: the automatic model selection of TEAPOT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch

from dfml.core.state import part_of_state
from dfml.nets.checkpoint import load_optimiser_state, optimiser_state

Likelihood = Literal["exact", "published"]
Scale = Literal["standard", "percent"]
PUBLISHED_BASELINE = 40.0
"""Per cent: what the authors compare the first reward with, for want of a mean."""
SMALLEST_SPREAD = 1e-6
"""Rewards whose standard deviation is below this are equal."""


def log_likelihoods(logits: torch.Tensor, chosen: Sequence[int], likelihood: Likelihood = "exact") -> torch.Tensor:
    """Log-probability of each of several draws without replacement, [k].

    Args:
        logits: One an arm, [n].
        chosen: Positions of the drawn arms, in the order of the draws.
        likelihood: ``exact``: each draw given those before it (Plackett-Luce), so that the sum is the
            log-probability of the whole sequence; ``published``: each as if it were the first.
    """
    if likelihood == "published":
        return logits.log_softmax(0)[list(chosen)]
    gone = torch.zeros(len(logits), dtype=torch.bool)
    found = []
    for position in chosen:
        found.append(logits[position] - logits.masked_fill(gone, float("-inf")).logsumexp(0))
        gone = gone.clone()
        gone[position] = True
    return torch.stack(found)


class TeacherSampler:
    """Draws teachers with probabilities that a policy gradient learns (Williams, 1992).

    One logit a teacher, all equal at first. After a draw each drawn teacher's log-probability is raised by its
    reward less the mean of all rewards so far. Where all drawn teachers get the same reward and ``likelihood`` is
    ``exact``, the gradient is an unbiased estimate of that of the expected reward, whatever baseline was known before
    the draw (``percent``; the mean of ``standard`` counts the newest rewards too).

    With rewards of its own for each teacher and a bonus ``entropy`` for evenness, the probabilities settle between
    evenness and the best teacher: a bad teacher is seldom asked, a good one is not the only one. Drawn one at a time
    they become proportional to exp(scaled reward / entropy); drawn several at a time they stay nearer to each other.
    Without a bonus the best takes all in the end.

    Args:
        ids: The teachers'.
        lr: Adam's rate on the logits.
        likelihood: See ``log_likelihoods``.
        scale: ``standard``: rewards less their mean are divided by the standard deviation of all so far;
            ``percent``: they are not, and the first are compared with 40 (published).
        entropy: Weight of the entropy of the probabilities.
    """

    def __init__(
        self,
        ids: Sequence[str],
        *,
        lr: float = 0.1,
        likelihood: Likelihood = "exact",
        scale: Scale = "standard",
        entropy: float = 0.0,
    ) -> None:
        self.ids, self.likelihood, self.scale, self.entropy = list(ids), likelihood, scale, entropy
        self.logits = torch.ones(len(self.ids), requires_grad=True)
        # Adam's usual 1e-8 would make whole steps of what is nearly nothing, above all in its first ones.
        self.optimiser = torch.optim.Adam([self.logits], lr=lr, eps=1e-3)
        # Of all rewards so far: how many, their sum and the sum of their squares.
        self.sums = [0.0, 0.0, 0.0]

    def weights(self) -> dict[str, float]:
        """The probability of each teacher to be drawn first; their sum is 1."""
        return dict(zip(self.ids, self.logits.detach().double().softmax(0).tolist(), strict=True))

    def below(self, share: float) -> list[str]:
        """Ids of the teachers whose weight fell below this share of an even one."""
        return [i for i, weight in self.weights().items() if weight * len(self.ids) < share]

    def draw(self, count: int, generator: torch.Generator) -> list[int]:
        """Positions of ``count`` different teachers (of all, where there are fewer), in the order of the draws."""
        logits = self.logits.detach().double()
        # The largest of logits with Gumbel noise are draws without replacement, one after another.
        noise = -torch.empty(len(logits), dtype=torch.float64).exponential_(generator=generator).log()
        return (logits + noise).topk(min(count, len(logits))).indices.tolist()

    def advantages(self, rewards: Sequence[float]) -> torch.Tensor:
        """Rewards less the mean of all so far, these included in ``standard``; scaled, see the class."""
        given = torch.tensor(list(rewards), dtype=torch.float64)
        before = self.sums
        self.sums = [
            n + float(new) for n, new in zip(before, (len(given), given.sum(), given.pow(2).sum()), strict=True)
        ]
        if self.scale == "percent":
            return (given - (before[1] / before[0] if before[0] else PUBLISHED_BASELINE)).float()
        count, total, squares = self.sums
        mean = total / count
        spread = max(squares / count - mean**2, 0.0) ** 0.5
        # Adam would make a step of any size out of rewards that differ by rounding alone.
        return ((given - mean) / spread if spread > SMALLEST_SPREAD else torch.zeros_like(given)).float()

    def learn(self, chosen: Sequence[int], rewards: Sequence[float]) -> None:
        """Raise or lower the probabilities of drawn teachers.

        Args:
            chosen: From ``draw``.
            rewards: One a drawn teacher, credited to its own draw; all the same where only their sum is known.
        """
        advantages = self.advantages(rewards)
        gained = (log_likelihoods(self.logits, chosen, self.likelihood) * advantages).mean()
        known = self.logits.log_softmax(0)
        evenness = -(known.exp() * known).sum()
        self.optimiser.zero_grad(set_to_none=True)
        (-gained - self.entropy * evenness).backward()
        self.optimiser.step()

    def state(self) -> dict[str, Any]:
        """Copies of the logits, of Adam's moments and of the sums of rewards."""
        return {
            "logits": self.logits.detach().clone(),
            "adam": optimiser_state(self.optimiser),
            "sums": list(self.sums),
        }

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()`` from its flat form."""
        with torch.no_grad():
            self.logits.copy_(flat["logits"])
        load_optimiser_state(self.optimiser, part_of_state(flat, "adam"))
        self.sums = [float(value) for value in flat["sums"]]


class AskedTeachers:
    """Whom the learner asked last, how often it asked each, and how it did since.

    Args:
        count: Teachers.

    Attributes:
        drawn: Positions of the teachers asked last, in the order of the draws.
    """

    WINDOW = 4
    """Steps over which a published reward is the mean, and after which it is given again."""

    def __init__(self, count: int) -> None:
        self.counts = [0] * count
        self.drawn: list[int] = []
        self.since: list[float] = []

    def ask(self, drawn: Sequence[int], different: int) -> list[int]:
        """Note that these are asked now; the number of each one's recovery, of which there are ``different`` ones."""
        self.drawn, self.since = list(drawn), []
        numbers = [self.counts[position] % different for position in drawn]
        for position in drawn:
            self.counts[position] += 1
        return numbers

    def earned(self, accuracy: float, due: bool) -> float | None:
        """What the teachers asked last have earned, after a step with this accuracy.

        Args:
            accuracy: Watched, after the step.
            due: Whether others are asked next.

        Returns:
            The mean of the newest accuracies since they were asked, every fourth step and when others are due;
            None in between.
        """
        self.since.append(accuracy)
        if len(self.since) % self.WINDOW and not due:
            return None
        newest = self.since[-self.WINDOW :]
        return sum(newest) / len(newest)

    def state(self) -> dict[str, Any]:
        """For checkpoints; JSON values only."""
        return {"counts": list(self.counts), "drawn": list(self.drawn), "since": list(self.since)}

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()``."""
        self.counts, self.drawn = [int(n) for n in flat["counts"]], [int(n) for n in flat["drawn"]]
        self.since = [float(a) for a in flat["since"]]
