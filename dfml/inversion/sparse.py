"""Sparse inversion of vision transformers: patches that the teacher does not attend to are left out on the way."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from dfml.core.config import Config
from dfml.core.errors import RunFailed
from dfml.inversion.base import INVERTERS, ExtraLoss, InversionStep, Inverter
from dfml.inversion.batched import make_step, open_batch

if TYPE_CHECKING:
    import torch

    from dfml.zoo.oracles.base import Oracle


class SparseConfig(Config):
    """Options of sparse inversion."""

    steps: int = Field(200, ge=1, le=20000, description="Gradient steps.")
    lr: float = Field(0.1, gt=0, le=1, description="Adam's learning rate, in units of un-normalised pixels.")
    keep: float = Field(0.85, gt=0, le=1, description="Share of the remaining patches that a drop keeps.")
    drop_at: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        [0.05, 0.1, 0.2, 0.3],
        max_length=16,
        description="When patches are dropped: shares of the steps, each above 0 and below 1.",
    )
    finish: float = Field(
        0.1, ge=0, lt=1, description="Share of the steps, the last ones, that show the teacher the grey patches too."
    )
    ce: float = Field(1.0, ge=0, le=100, description="Weight of the cross-entropy of the wanted labels.")
    tv: float = Field(1e-2, ge=0, le=10, description="Weight of the total variation (smoothness) of kept pixels.")
    shift: int = Field(2, ge=0, le=16, description="Largest random circular shift in pixels, until the first drop.")
    flip: bool = Field(True, description="Mirror the batch at random (not for characters).")
    start: Literal["smooth", "white"] = Field("smooth", description="First images: blotches, or white noise.")

    def drops(self) -> Counter[int]:
        """After which steps patches are dropped, and how many times there.

        None after the last step: that would leave images that nobody has looked at.
        """
        steps = (max(1, round(share * self.steps)) for share in self.drop_at)
        return Counter(step for step in steps if step < self.steps)


class SparsePictures:
    """The images of one teacher while they are recovered: the patches that are left, and Adam's moments of them.

    The unknowns are the ``patches`` [N, K, C, P, P] in [0, 1], at the places ``kept`` in the grid: int64 [N, K],
    ascending.
    """

    def __init__(self, oracle: Oracle, labels: torch.Tensor, config: SparseConfig, generator: torch.Generator) -> None:
        from dfml.inversion.dynamic_set import noise_images
        from dfml.zoo.oracles.patches import PatchOracle

        self.eye = PatchOracle(oracle)
        self.labels, self.config, self.generator = labels, config, generator
        start = noise_images(len(labels), oracle.picture_shape, generator, smooth=config.start == "smooth")
        self.kept = self.eye.whole(len(labels))
        self._watch(self.eye.split(start.to(labels.device)).contiguous(), {})

    def _watch(self, patches: torch.Tensor, moments: dict[str, torch.Tensor]) -> None:
        """Make ``patches`` the unknowns, with Adam's moments where there are some."""
        import torch

        self.patches = patches.requires_grad_(True)
        self.adam = torch.optim.Adam([self.patches], lr=self.config.lr, betas=(0.5, 0.99))
        if moments:
            self.adam.state[self.patches] = moments
        self.shown = self.eye.join(torch.ones_like(patches.detach()[:, :, :1]), self.kept) == 1

    def step(
        self, lr: float, drops: int = 0, extra_loss: ExtraLoss | None = None, *, whole: bool = False
    ) -> dict[str, float]:
        """Take an Adam step, then drop patches ``drops`` times; ``whole`` shows the teacher the grey patches too.

        Returns:
            ``ce``, ``tv``, ``teacher_accuracy``, and ``patches``, the share of patches that were left; ``RunFailed``
            where the loss is not a number.
        """
        import torch

        from dfml.inversion.terms import cross_entropy, total_variation

        cfg, labels = self.config, self.labels
        seen, where = self._jittered(still=drops > 0)
        places = where
        if whole:
            seen, where = self.eye.split(self.eye.join(seen, where)), self.eye.whole(len(labels))
        look = self.eye.look(seen, where, attention=drops > 0)
        ce = cross_entropy(look.logits, labels)
        loss = cfg.ce * ce
        if extra_loss is not None:
            loss = loss + extra_loss(self.eye.join(seen, where), labels, look.logits)
        roughness = total_variation(self.eye.join(self.patches, self.kept), self.shown)
        correct = (look.logits.argmax(1) == labels).float().mean()
        values = torch.stack([ce.detach().mean(), roughness.detach(), correct]).tolist()
        if not all(map(math.isfinite, values)):
            raise RunFailed(f"the recovery's loss is not a number ({values[0]}): lower learning rate or weights.")
        losses = dict(zip(("ce", "tv", "teacher_accuracy"), values, strict=True))
        self.patches.grad = torch.autograd.grad(loss.mean() + cfg.tv * roughness, self.patches)[0]
        self.adam.param_groups[0]["lr"] = lr
        self.adam.step()
        with torch.no_grad():
            self.patches.clamp_(0, 1)
        share = self.kept.shape[1] / self.eye.count
        if drops:
            assert look.attention is not None
            # Where the teacher sees the grey patches too, it attends to them as well: only the others can stay.
            self._drop(look.attention.gather(1, places) if whole else look.attention, drops)
        return losses | {"patches": share}

    def _jittered(self, *, still: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """The patches as the teacher sees them, and where it sees them.

        A shift moves content from one patch to the next, which is possible only while all are there, and would
        blur the attention that a drop goes by. A mirror moves whole patches and is always possible.
        """
        import torch

        from dfml.inversion.terms import draw_jitter

        cfg, seen, where = self.config, self.patches, self.kept
        shift = 0 if still or self.kept.shape[1] < self.eye.count else cfg.shift
        move = draw_jitter(seen.shape[2], shift, cfg.flip, self.generator)
        if shift:
            seen = self.eye.split(torch.roll(self.eye.join(seen, where), (move.down, move.right), dims=(2, 3)))
        return (seen.flip(-1), self.eye.mirrored(where)) if move.mirrored else (seen, where)

    def _drop(self, attention: torch.Tensor, times: int) -> None:
        """Keep the patches with the most attention, and their moments."""
        import torch

        left = self.kept.shape[1]
        for _ in range(times):
            left = max(1, round(self.config.keep * left))
        best = attention.topk(left, dim=1).indices.sort(dim=1).values
        self.kept = self.kept.gather(1, best)
        rows = torch.arange(len(best), device=best.device).unsqueeze(1)
        state = self.adam.state[self.patches]
        moments = {name: v[rows, best] if v.dim() > 1 else v for name, v in state.items()}
        self._watch(self.patches.detach()[rows, best], moments)

    def images(self) -> torch.Tensor:
        """The images [N, C, H, W] as they are now, detached; grey where patches are left out."""
        return self.eye.join(self.patches.detach(), self.kept)

    def accuracy(self) -> float:
        """How often the teacher sees the wanted class, shown nothing but the patches that are left."""
        import torch

        with torch.no_grad():
            logits = self.eye.look(self.patches.detach(), self.kept).logits
        return float((logits.argmax(1) == self.labels).float().mean())


@INVERTERS.register("sparse")
class Sparse(Inverter):
    """Adam on the pixels of patches; at given steps those with the least attention leave for good.

    Hu et al., "Sparse Model Inversion: Efficient Inversion of Vision Transformers for Data-Free Applications",
    ICML 2024. What has left is neither computed nor changed any more, and is mid-grey in the final image.
    """

    papers = ("hu2024sparse",)
    Config = SparseConfig
    by_queries = False  # the teacher's own patches are taken away
    summary = "For vision transformers: pixels of patches, of which the teacher's attention keeps fewer and fewer."

    @classmethod
    def paper(cls) -> SparseConfig:
        """Drops after 50, 100, 200 and 300 of 4,000 steps; learning rate 0.25 for pixels normalised by 0.27."""
        return SparseConfig(
            keep=0.7, steps=4000, lr=0.0675, drop_at=[0.0125, 0.025, 0.05, 0.075], finish=0, tv=1e-4, start="white"
        )

    def recover(
        self,
        oracles: list[Oracle],
        labels: list[torch.Tensor],
        *,
        generator: torch.Generator,
        device: torch.device,
        extra_loss: ExtraLoss | None = None,
    ) -> Iterator[InversionStep]:
        """Recover images from one or several teachers; see ``Inverter.recover``.

        ``BadInput`` where a teacher is no vision transformer, or does not let its weights be seen.
        """
        cfg: SparseConfig = self.config
        before = [(oracle.passes, oracle.queries) for oracle in oracles]
        batch = open_batch(oracles, labels, generator, device)
        sets = [SparsePictures(item.oracle, item.labels, cfg, item.generator) for item in batch]
        drops = cfg.drops()
        for step in range(1, cfg.steps + 1):
            rate, now = cosine_rate(cfg.lr, step, cfg.steps), drops[step]
            whole = step > cfg.steps - round(cfg.finish * cfg.steps)
            each = [pictures.step(rate, now, extra_loss, whole=whole) for pictures in sets]
            losses = {name: sum(values[name] for values in each) / len(sets) for name in each[0]}
            images = [pictures.images() for pictures in sets]
            wanted = [pictures.labels for pictures in sets]
            made = make_step(step, cfg.steps, oracles, images, wanted, losses, before if step == cfg.steps else None)
            for task, pictures in zip(made.tasks, sets, strict=bool(made.tasks)):
                task.cost["patches"] = pictures.kept.shape[1] / pictures.eye.count
                task.cost["sparse_accuracy"] = pictures.accuracy()
            yield made


def cosine_rate(lr: float, step: int, steps: int) -> float:
    """Adam's learning rate at a step 1 .. ``steps``: from ``lr`` along a cosine towards a twentieth of it."""
    return lr / 20 + lr * 0.475 * (1 + math.cos(math.pi * (step - 1) / steps))
