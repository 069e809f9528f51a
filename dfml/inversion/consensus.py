"""Images of several teachers revised together, until every teacher that knows an image's class names it."""

import math
import time
from collections.abc import Iterator, Sequence

import torch
from pydantic import Field

from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.events import Done, Progress
from dfml.data.episodes import PseudoTask
from dfml.inversion import terms
from dfml.zoo.oracles.base import Oracle
from dfml.zoo.teacher import match_channels, match_size


class ConsensusConfig(Config):
    """Options of the revision; the weights are those of PURER."""

    sweeps: int = Field(6, ge=1, le=1000, description="How often each teacher sees all images of its classes.")
    lr: float = Field(0.02, gt=0, le=1, description="Adam's learning rate on the pixels; falls linearly to zero.")
    bn: float = Field(0.01, ge=0, le=100, description="Weight of the distance from the teachers' BN statistics.")
    tv: float = Field(1e-4, ge=0, le=10, description="Weight of the total variation (smoothness).")
    shift: int = Field(2, ge=0, le=16, description="Largest random circular shift in pixels, each axis.")
    flip: bool = Field(True, description="Mirror a batch at random (not for characters).")
    batch: int = Field(150, ge=2, le=100_000, description="Most images that a teacher sees at once.")


def reach_consensus(
    tasks: Sequence[PseudoTask],
    oracles: Sequence[Oracle],
    class_keys: dict[str, list[str]],
    config: ConsensusConfig,
    *,
    shape: tuple[int, int, int],
    generator: torch.Generator,
    device: torch.device,
) -> Iterator[Progress | Done]:
    """Revise recovered images so that all teachers which know a class agree on its images.

    An image that one teacher recovered shows what that teacher alone goes by; other teachers of the class often
    see something else in it. This is the joint inversion loss of PURER's dynamic set (Hu et al., CVPR 2023: the sum
    over the teachers of CE + 0.01 BN + 0.0001 TV), begun at recovered images instead of noise.

    The tasks are not changed. ``class_keys`` (``Zoo.class_keys``) tell which classes of two teachers are the same,
    ``shape`` is that of the revised images [C, H, W], and the generator is on the CPU.

    Yields:
        Progress; last ``Done(list of PseudoTask)``: the same tasks with revised images, what their own teachers answer
        now, and an equal share each of the cost.

    Raises:
        BadInput: A task's teacher is not among the oracles.
    """
    started = time.perf_counter()
    by_id = {o.teacher_id: o for o in oracles}
    if strangers := sorted({t.teacher_id for t in tasks} - by_id.keys()):
        raise BadInput(f"images of teacher {strangers[0]!r} cannot be revised without it.")
    before = [(o.passes, o.queries) for o in oracles]
    keys = [class_keys[t.teacher_id][label] for t in tasks for label in t.labels.tolist()]
    # A grey or smaller image is brought to the common shape, as a memory would do.
    x = torch.cat([match_size(match_channels(t.images.to(device), shape[0]), shape[1:]) for t in tasks]).clone()
    first, second, seen = torch.zeros_like(x), torch.zeros_like(x), x.new_zeros(len(x), 1, 1, 1)
    rows_of: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        rows_of.setdefault(key, []).append(row)
    for sweep in range(config.sweeps):
        lr, right = config.lr * (1 - sweep / config.sweeps), []
        for position in torch.randperm(len(oracles), generator=generator).tolist():
            oracle = oracles[position]
            slots = class_keys[oracle.teacher_id]
            mine = [(row, slot) for slot, key in enumerate(slots) for row in rows_of.get(key, ())]
            if not mine:
                continue
            known = torch.tensor(mine)[torch.randperm(len(mine), generator=generator)]
            for part in known.tensor_split(math.ceil(len(known) / config.batch)):
                rows, labels = part[:, 0].to(device), part[:, 1].to(device)
                grad, hits = _ask(oracle, x[rows], labels, config, generator)
                right.append(hits)
                # Adam with a count of its own for each image: some have more teachers than others.
                seen[rows] += 1
                first[rows] = first[rows].lerp(grad, 0.1)
                second[rows] = second[rows].lerp(grad.square(), 0.01)
                mean, square = first[rows] / (1 - 0.9 ** seen[rows]), second[rows] / (1 - 0.99 ** seen[rows])
                x[rows] = (x[rows] - lr * mean / (square.sqrt() + 1e-8)).clamp(0, 1)
                share = sum(right) / len(right)
                text = f"revising recovered images, sweep {sweep + 1}: teachers agree on {share:.0%}"
                yield Progress(sweep, config.sweeps, text)
    revised = []
    for task, images in zip(tasks, x.split([len(t.labels) for t in tasks]), strict=True):
        soft = by_id[task.teacher_id].logits(images)
        revised.append(PseudoTask(images.cpu(), task.labels.cpu(), soft.cpu(), task.teacher_id, dict(task.cost)))
        yield Progress(config.sweeps, config.sweeps, "asking their own teachers again")
    spent = {
        "passes": sum(o.passes - passes for o, (passes, _) in zip(oracles, before, strict=True)),
        "queries": sum(o.queries - queries for o, (_, queries) in zip(oracles, before, strict=True)),
        "seconds": time.perf_counter() - started,
    }
    for task in revised:
        for name, value in spent.items():
            task.cost[name] = task.cost.get(name, 0.0) + value / len(revised)
    yield Done(revised)


def _ask(
    oracle: Oracle, x: torch.Tensor, labels: torch.Tensor, config: ConsensusConfig, generator: torch.Generator
) -> tuple[torch.Tensor, float]:
    """Gradient of a teacher's inversion loss in images [N, C, H, W], and how often it names their class."""
    move, _, answer = terms.ask(oracle, x, labels, config, generator)
    grad = move.undo(answer.grad)
    if config.tv:
        pixels = x.detach().requires_grad_(True)
        with torch.enable_grad():
            (rough,) = torch.autograd.grad(terms.total_variation(pixels), pixels)
        grad = grad + config.tv * rough
    return grad, float((answer.logits.argmax(1) == labels).float().mean())
