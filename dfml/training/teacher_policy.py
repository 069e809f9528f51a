"""Whom a method asks next, learned from rewards: the automatic model selection of TEAPOT."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch

from dfml.core.events import Event, Note, Progress, Scalars
from dfml.nets.checkpoint import load_optimiser_state, optimiser_state, part_of_state
from dfml.tasks.cache import Recoveries, Visit
from dfml.training.options import TeacherPolicyConfig
from dfml.training.validation import Watch

PUBLISHED_BASELINE = 40.0
"""Per cent: what the authors compare the first reward with, for want of a mean."""
SMALLEST_SPREAD = 1e-6
"""Rewards whose standard deviation is below this are equal."""
WEIGHING = ("policy-gradient", "episodes")
"""Policies that need validation images."""
WINDOW = 4
"""Steps over which a published reward is the mean, and after which it is given again."""


def log_likelihoods(
    logits: torch.Tensor, chosen: Sequence[int], likelihood: Literal["exact", "published"] = "exact"
) -> torch.Tensor:
    """Log-probability of each of several draws without replacement, [k], from logits [n] of the arms.

    ``exact``: each draw given those before it (Plackett-Luce), so that the sum is the log-probability of the whole
    sequence; ``published``: each as if it were the first.
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

    One logit per teacher, all equal at first. After a draw each drawn teacher's log-probability is raised by its
    reward less the mean of all rewards so far. Where all drawn teachers get the same reward and ``likelihood`` is
    ``exact``, the gradient is an unbiased estimate of that of the expected reward, whatever baseline was known before
    the draw (``percent``; the mean of ``standard`` counts the newest rewards too).

    With rewards of its own for each teacher and a bonus ``entropy`` for evenness, the probabilities settle between
    evenness and the best teacher: a bad teacher is seldom asked, a good one is not the only one. Drawn one at a time
    they become proportional to exp(scaled reward / entropy); drawn several at a time they stay nearer to each other.
    Without a bonus the best takes all in the end.
    """

    def __init__(self, ids: Sequence[str], config: TeacherPolicyConfig) -> None:
        self.ids, self.config = list(ids), config
        self.logits = torch.ones(len(self.ids), requires_grad=True)
        # Adam's usual 1e-8 would make whole steps of what is nearly nothing, above all in its first ones.
        self.optimiser = torch.optim.Adam([self.logits], lr=config.policy_lr, eps=1e-3)
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
        new = len(given), given.sum(), given.pow(2).sum()
        self.sums = [old + float(added) for old, added in zip(before, new, strict=True)]
        if self.config.reward_scale == "percent":
            return (given - (before[1] / before[0] if before[0] else PUBLISHED_BASELINE)).float()
        count, total, squares = self.sums
        mean = total / count
        spread = max(squares / count - mean**2, 0.0) ** 0.5
        # Adam would make a step of any size out of rewards that differ by rounding alone.
        return ((given - mean) / spread if spread > SMALLEST_SPREAD else torch.zeros_like(given)).float()

    def settle(self, worth: Sequence[float]) -> None:
        """Set the weights once, proportional to exp(worth / entropy), with worth [n] in its standard deviations."""
        given = torch.tensor(list(worth), dtype=torch.float64)
        spread = float(given.std(correction=0))
        units = (given - given.mean()) / spread if spread > SMALLEST_SPREAD else torch.zeros_like(given)
        with torch.no_grad():
            self.logits.copy_(units / (self.config.entropy or 1.0))

    def learn(self, chosen: Sequence[int], rewards: Sequence[float]) -> None:
        """Credit each reward to its own draw; they are all the same where only their sum is known."""
        advantages = self.advantages(rewards)
        gained = (log_likelihoods(self.logits, chosen, self.config.likelihood) * advantages).mean()
        known = self.logits.log_softmax(0)
        evenness = -(known.exp() * known).sum()
        self.optimiser.zero_grad(set_to_none=True)
        (-gained - self.config.entropy * evenness).backward()
        self.optimiser.step()

    def state(self) -> dict[str, Any]:
        """Copies of the logits, of Adam's moments and of the sums of rewards."""
        logits = self.logits.detach().clone()
        return {"logits": logits, "adam": optimiser_state(self.optimiser), "sums": list(self.sums)}

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()`` from its flat form."""
        with torch.no_grad():
            self.logits.copy_(flat["logits"])
        load_optimiser_state(self.optimiser, part_of_state(flat, "adam"))
        self.sums = [float(value) for value in flat["sums"]]


class TeacherPolicy:
    """Draws teachers, rewards them, and learns their weights, if ``watch`` has episodes; else they all stay alike.

    ``counts`` is how often each teacher was asked, ``drawn`` the positions of those asked last, ``since`` the watched
    accuracies since then. ``reward`` is what teachers earn (``episodes``: once, before training), None where no weights
    are learned. The oracles of the ``recoveries`` tell what a teacher sees in an image.
    """

    def __init__(self, config: TeacherPolicyConfig, teachers: list[str], watch: Watch, recoveries: Recoveries) -> None:
        self.config, self.watch = config, watch
        self.sampler = TeacherSampler(teachers, config)
        self.counts, self.drawn, self.since = [0] * len(teachers), [], []
        wanted = "episodes" if config.teacher_policy == "episodes" else config.reward
        self.reward = wanted if config.teacher_policy in WEIGHING and watch.episodes else None
        if self.reward in ("features", "episodes"):
            from dfml.training.ours.trust import FeatureRewards

            self.features = FeatureRewards(watch, recoveries)

    def notes(self) -> Iterator[Event]:
        """Why no weights are learned, where they are asked for, or why the stop rule is another one."""
        if self.watch.why_not:
            text = f"the stop rule follows pseudo tasks, no weights are learned: {self.watch.why_not}"
            yield Note(0, text, "validation")
        elif self.config.teacher_policy in WEIGHING and not self.reward:
            yield Note(0, "no weights are learned: watch=training sees no validation images", "validation")

    def begin(self, state: object) -> Iterator[Event]:
        """The notes; with ``episodes`` all teachers are weighed (ours), unless a ``state`` with weights is restored."""
        yield from self.notes()
        if self.reward != "episodes" or state:
            return
        ids, worth = self.sampler.ids, []
        for teacher in ids:
            yield Progress(len(worth), len(ids), "weighing teachers by labelled episodes")
            worth.append(self.features.worth(teacher))
        self.sampler.settle(worth)

    def draw(self, count: int, generator: torch.Generator) -> list[str]:
        """Ids of different teachers, reliable ones more often."""
        return [self.sampler.ids[position] for position in self.sampler.draw(count, generator)]

    def ask(self, count: int, different: int, generator: torch.Generator) -> list[Visit]:
        """Draw ``count`` teachers to be asked now, each of whom has ``different`` recoveries before they repeat."""
        self.drawn, self.since = self.sampler.draw(count, generator), []
        visits = [(self.sampler.ids[position], self.counts[position] % different) for position in self.drawn]
        for position in self.drawn:
            self.counts[position] += 1
        return visits

    def reward_features(self) -> None:
        """Each teacher asked last earns what its own features are worth on new classes (ours)."""
        if self.reward == "features":
            self.sampler.learn(self.drawn, [self.features.worth(self.sampler.ids[position]) for position in self.drawn])

    def reward_accuracy(self, accuracy: float, due: bool) -> None:
        """Those asked last share the mean of the newest watched accuracies since, in per cent (published).

        The reward is given every fourth step, and where others are asked next (``due``).
        """
        self.since.append(accuracy)
        if self.reward == "accuracy" and (due or len(self.since) % WINDOW == 0):
            newest = self.since[-WINDOW:]
            self.sampler.learn(self.drawn, [100 * (sum(newest) / len(newest))] * len(self.drawn))

    def distrusted(self) -> Sequence[str]:
        """Teachers whose recoveries are to be forgotten."""
        return self.sampler.below(self.config.forget) if self.reward else []

    def events(self, step: int) -> Iterator[Event]:
        """The weights, where any are learned."""
        if self.reward:
            yield Scalars(step, {f"reliability/{teacher}": w for teacher, w in self.sampler.weights().items()})

    def details(self) -> dict[str, Any]:
        """For the model's card: how often each teacher was asked, and the final weights."""
        found: dict[str, Any] = {"asked": dict(zip(self.sampler.ids, self.counts, strict=True))}
        return {**found, "reliability": self.sampler.weights()} if self.reward else found

    def state(self) -> dict[str, Any]:
        """For checkpoints."""
        asked = {"counts": list(self.counts), "drawn": list(self.drawn), "since": list(self.since)}
        return {"sampler": self.sampler.state(), "asked": asked}

    def load(self, flat: dict[str, Any]) -> None:
        """Restore ``state()`` from its flat form."""
        self.sampler.load(part_of_state(flat, "sampler"))
        self.counts, self.drawn = ([int(n) for n in flat[f"asked/{name}"]] for name in ("counts", "drawn"))
        self.since = [float(accuracy) for accuracy in flat["asked/since"]]
