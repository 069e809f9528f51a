"""Choosing the oracle for a teacher: gradients where its owner grants them, else estimates from answers alone.

Zeroth-order estimation as BiDf-MKD (ICML 2023) uses it: follow the loss of each image along q random unit
directions u_k and take g(x) = d / (q mu) * sum_k [l(x + mu u_k) - l(x)] u_k, with d the number of its pixels.
Its mean over the directions is the gradient of the loss smoothed over a ball of radius mu; its cosine with the
true gradient is about sqrt(q / (q + d)) (Nesterov and Spokoiny, 2017).
"""

import math

import torch
import torch.nn.functional as F

from dfml.core.errors import BadInput, RunFailed
from dfml.zoo.listing import TeacherCard
from dfml.zoo.oracles.asking import AskingConfig, Used, ZerothOrderConfig
from dfml.zoo.oracles.base import Answer, Api, AutogradOracle, LocalApi, LossFn, Oracle, StatisticsLoss
from dfml.zoo.teacher import HeldTeachers, OnDemand, Teacher
from dfml.zoo.zoo import Zoo, answers_only_queries

SMALLEST_PROBABILITY = 1e-12


class ZerothOrderOracle:
    """Answers like ``AutogradOracle``, from scores alone; ``generator``, on the CPU, draws the directions."""

    gives_statistics = False

    def __init__(
        self,
        api: Api,
        config: ZerothOrderConfig | None = None,
        *,
        generator: torch.Generator,
        class_keys: list[str] | None = None,
        used: Used | None = None,
    ) -> None:
        self.api, self.config, self.generator = api, config or ZerothOrderConfig(), generator
        self.used = used or Used(api.picture_shape, range(api.way), api.way)
        self.teacher_id, self.way, self.picture_shape = api.teacher_id, len(self.used.slots), self.used.shape
        self.class_keys = class_keys or [f"{api.teacher_id}:{slot}" for slot in self.used.slots]
        self.queries = self.passes = 0
        self._there: torch.Generator | None = None

    def loss_and_grad(self, x: torch.Tensor, loss_fn: LossFn, *, statistics_fn: StatisticsLoss | None = None) -> Answer:
        """Answer for images x [N, C, H, W] in [0, 1] with (q + 1) * N queries.

        ``BadInput``: statistics were asked for, or one call would cost more than ``per_call``; ``RunFailed``: the
        budget is spent.
        """
        cfg = self.config
        if statistics_fn is not None:
            raise BadInput(f"teacher {self.teacher_id!r} only answers queries: it shows no BN statistics.")
        needed = (cfg.q + 1) * len(x)
        if cfg.per_call is not None and needed > cfg.per_call:
            raise BadInput(
                f"one gradient of {len(x)} images along q = {cfg.q} directions asks {needed} images, but "
                f"per_call allows {cfg.per_call}: lower q or the images per class."
            )
        x = x.detach()
        with torch.no_grad():
            logits, outside = self.used.of(self._scores(x))
            loss = loss_fn(logits, x) + outside
            grad = torch.zeros_like(x)
            for start in range(0, cfg.q, cfg.chunk):
                count = min(cfg.chunk, cfg.q - start)
                directions = self._unit_directions(count, x)
                moved = x + cfg.mu * directions
                answers, outside = self.used.of(self._scores(moved.flatten(0, 1)).unflatten(0, (count, len(x))))
                rise = torch.stack([loss_fn(a, m) for a, m in zip(answers, moved, strict=True)]) + outside - loss
                grad += torch.einsum("kn,knchw->nchw", rise, directions)
        # Of the mean over the images, as with exact gradients.
        grad *= math.prod(x.shape[1:]) / (cfg.q * cfg.mu * len(x))
        return Answer(loss, grad, logits)

    @torch.no_grad()
    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """The scores [N, way] as logits, probabilities by their logarithm; ``RunFailed`` where the budget is spent."""
        return self.used.of(self._scores(x))[0]

    def _scores(self, x: torch.Tensor) -> torch.Tensor:
        budget, left = self.config.budget, None
        if budget is not None:
            left = budget - self.queries
            if len(x) > left:
                raise RunFailed(
                    f"teacher {self.teacher_id!r}: the budget of {budget} queries is spent ({self.queries} asked, "
                    f"{len(x)} more wanted): raise it, or lower q, the steps or the images per class."
                )
        before = self.api.queries
        try:
            scores = self.api.ask(x, most=left)
        finally:
            # What was sent is spent, also where no answer came or a request had to be repeated.
            self.queries += self.api.queries - before
        self.passes += 1
        if self.config.outputs == "logits":
            return scores
        if self.config.outputs == "labels":  # whatever it gave, no more is looked at
            scores = F.one_hot(scores.argmax(1), scores.shape[1]).to(x.dtype)
        return scores.clamp_min(SMALLEST_PROBABILITY).log()

    def _unit_directions(self, count: int, x: torch.Tensor) -> torch.Tensor:
        """Gaussian directions of length 1, [count, N, C, H, W], drawn where the images are."""
        if self._there is None or self._there.device != x.device:
            seed = int(torch.randint(2**62, (), generator=self.generator))
            self._there = torch.Generator(x.device).manual_seed(seed)
        drawn = torch.randn(count, *x.shape, generator=self._there, device=x.device, dtype=x.dtype)
        return drawn / drawn.flatten(2).norm(dim=2).view(count, len(x), 1, 1, 1)


def make_oracle(
    zoo: Zoo,
    which: str | int,
    config: AskingConfig,
    *,
    generator: torch.Generator,
    device: torch.device,
    held: HeldTeachers | None = None,
) -> Oracle:
    """An oracle for a teacher; ``generator``, on the CPU, draws the directions of a black box.

    One of ``held`` teachers loads its own when it is asked. ``BadInput``: there is no such teacher, its weights cannot
    be used, or it grants less than is asked for.
    """
    card = zoo.card(which)
    later = held and held.on_demand(card)
    if not answers_only_queries(zoo, card.id, config):
        return white_box(zoo, later or zoo.teacher(card.id), device)
    if later and not zoo.address and card.id not in zoo.only_asked:
        api: Api = LocalApi(later, device, config.outputs)
    else:
        api = zoo.api(card.id, device, config.outputs)
    used = used_of(zoo, card)
    keys = [zoo.class_key(card, slot) for slot in used.slots]
    return ZerothOrderOracle(api, config, generator=generator, class_keys=keys, used=used)


def white_box(zoo: Zoo, teacher: Teacher | OnDemand, device: torch.device) -> AutogradOracle:
    """An oracle for a teacher of a zoo; ``BadInput`` where it may only be queried."""
    used = used_of(zoo, teacher.card)
    return AutogradOracle(teacher, device, [zoo.class_key(teacher.card, slot) for slot in used.slots], used)


def used_of(zoo: Zoo, card: TeacherCard) -> Used:
    """What a zoo lets of a teacher count."""
    return Used(zoo.shown_size(card), zoo.slots(card), card.way)
