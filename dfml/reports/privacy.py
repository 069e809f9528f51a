"""Do recovered images show training images? A report for those who hold the real data (docs/privacy.md).

Four distances to the nearest real image of the teacher's classes are compared, in pixels and in the features of
a network that is not the teacher:

- recovered -> training against held-out -> training (``nearer_than_real``, ``share_nearer``): are recovered images
  nearer to training images than other real images are? Same target, so no bias of size. But smooth images are
  near to every image: alone, this says nothing of copying.
- recovered -> training against recovered -> held-out: are they nearer to what trained than to what did not? The
  larger set has the nearer neighbour by chance alone, which is set right twice: ``recovered_to_training_equal`` is
  the mean over all subsets of training images as large as the held-out part, and ``nearest_is_training`` is
  compared with the shares that come out when the real images' parts are drawn anew (``by_chance``).
- ``twice_as_near``: recovered images less than half as far from a training image as from any held-out one, which
  few images are but copies; the same count for held-out images (against the *other* held-out ones) stands beside.

Colour images are compared with their mirror images too, since teachers train on mirrored images.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from dfml.core.errors import BadInput
from dfml.core.paths import write_atomically, write_json
from dfml.core.seeds import derive_seed
from dfml.data.episodes import PseudoTask
from dfml.reports.distances import Compared, SpaceReport, compare
from dfml.reports.quality import features
from dfml.reports.real_pictures import RealPictures, real_pictures
from dfml.zoo.teacher import Teacher, TeacherCard, probe
from dfml.zoo.zoo import Zoo

FEW = 20
LEVEL = 0.005
"""Chance of an outcome that is taken for a sign; two tests in two spaces give a false alarm in 2 % at most."""


@dataclass(frozen=True)
class Pair:
    """A recovered image and the training image that it is nearest to.

    Attributes:
        recovered: Position in the task.
        recovered_class: The class that was asked for.
        training: Position in the data set's training split.
        training_class: The class of the training image.
        space: Where the pair stands out most.
        distance: Between both, in that space.
        held_out: Position of the nearest held-out image.
        held_out_distance: Distance to it.
        ratio: ``distance / held_out_distance``; near 0 for a copy, about 1 or a little less by chance.
    """

    recovered: int
    recovered_class: str
    training: int
    training_class: str
    space: str
    distance: float
    held_out: int
    held_out_distance: float
    ratio: float


@dataclass(frozen=True)
class PrivacyReport:
    """The report.

    Attributes:
        teacher: Id of the teacher.
        data: Name of the data set.
        recovered: Number of recovered images.
        training: Number of training images.
        held_out: Number of held-out images.
        held_out_asked: How many of these were compared as if they were recovered.
        level: ``none``; ``look`` (single images that stand out, too few to tell from chance); ``leaning`` (as a group
            nearer to training images, none like a copy); ``closer`` (more such images than chance gives).
        verdict: In plain words.
        notes: What limits it.
        spaces: Pixels, then features.
        pairs: Those with the smallest ratio first.
        pictures: For each pair the recovered, the training and the held-out image, float32 [P, 3, C, H, W].
    """

    teacher: str
    data: str
    recovered: int
    training: int
    held_out: int
    held_out_asked: int
    level: Literal["none", "look", "leaning", "closer"]
    verdict: str
    notes: list[str]
    spaces: list[SpaceReport]
    pairs: list[Pair]
    pictures: torch.Tensor = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Everything but the images, as JSON values."""
        values = {name: value for name, value in vars(self).items() if name not in ("spaces", "pairs", "pictures")}
        return {**values, "spaces": [asdict(s) for s in self.spaces], "pairs": [asdict(p) for p in self.pairs]}

    def sheet(self) -> Image.Image:
        """The pairs as one image, a column each: recovered, nearest training, nearest held-out image."""
        factor, gap = max(1, round(84 / self.pictures.shape[-1])), 2
        pixels = (self.pictures.cpu().clamp(0, 1) * 255).round().byte()
        pixels = pixels.repeat_interleave(factor, 3).repeat_interleave(factor, 4)
        tiles = F.pad(pixels, (0, gap, 0, gap), value=255).permute(1, 3, 0, 4, 2)
        sheet = tiles.flatten(2, 3).flatten(0, 1)[:-gap, :-gap].numpy()
        return Image.fromarray(sheet[..., 0] if sheet.shape[-1] == 1 else sheet)

    def save(self, folder: Path) -> None:
        """Write ``privacy-pairs.png`` and, last, ``privacy.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "privacy-pairs.png", lambda part: self.sheet().save(part, "PNG"))
        write_json(folder / "privacy.json", self.to_json())


def privacy_report(
    zoo: Zoo,
    which: str | int,
    task: PseudoTask,
    source: str | Path,
    *,
    network: Teacher | None = None,
    held_out: float | None = None,
    pairs: int = 8,
    seed: int = 0,
) -> PrivacyReport:
    """Compare recovered images with the real ones of a teacher's classes.

    Args:
        zoo: The teacher's zoo.
        which: Id or position of the teacher; only its card is read.
        task: Its recovered images.
        source: The class-folder data set that it was trained on.
        network: Its features are the second space; the embedded probe by default. A network trained on the same
            images, as judges are, may lay them nearer to everything that looks like their class.
        held_out: Share of each class's images, the last ones, that the teacher was not trained on; read from the
            teacher's folder by default.
        pairs: How many of the closest pairs to show, at least 1.
        seed: Draws the resamples.

    Returns:
        The report, on the CPU.

    Raises:
        BadInput: There is nothing recovered, or see ``real_pictures``.
    """
    card = zoo.card(which)
    if len(task.labels) == 0 or not task.images.isfinite().all():
        raise BadInput(f"the pictures recovered from teacher {card.id!r} are none, or no numbers: recover them again.")
    real = real_pictures(zoo, which, source, held_out=held_out, device=task.images.device)
    network = network or probe()
    recovered = real.fitted(task.images.float())
    rng = np.random.default_rng(derive_seed(seed, "privacy", card.id))
    scale = recovered[0].numel() ** 0.5
    compared = [
        compare(recovered, real, lambda x: (x - 0.5).flatten(1) / scale, "pixels (root mean square difference)", rng),
        compare(recovered, real, lambda x: features(network, x), _space_name(network), rng),
    ]
    spaces = [c.report for c in compared]
    chosen = _closest(compared, task.labels.tolist(), card, real, max(1, pairs))
    level, verdict = _verdict(spaces, len(recovered))
    shown = [torch.stack([recovered[p.recovered].cpu(), *real.at([p.training, p.held_out]).cpu()]) for p in chosen]
    return PrivacyReport(
        teacher=card.id,
        data=real.data.name,
        recovered=len(recovered),
        training=len(real.training),
        held_out=len(real.held_out),
        held_out_asked=len(real.asked),
        level=level,
        verdict=verdict,
        notes=_notes(card, real, network, len(recovered)),
        spaces=spaces,
        pairs=chosen,
        pictures=torch.stack(shown),
    )


def _closest(
    compared: list[Compared], labels: list[int], card: TeacherCard, real: RealPictures, count: int
) -> list[Pair]:
    """The recovered images with the smallest ratio in either space, each with its nearest real images there."""
    ratios = np.stack([c.ratio for c in compared])
    spaces = ratios.argmin(0)
    found = []
    for row in np.argsort(ratios.min(0), kind="stable")[:count].tolist():
        c = compared[spaces[row]]
        at, beside = int(c.nearest_training[row]), int(c.nearest_held_out[row])
        found.append(
            Pair(
                recovered=row,
                recovered_class=card.classes[labels[row]],
                training=at,
                training_class=real.data.class_names[int(real.data.labels[at])],
                space=c.report.space,
                distance=float(c.to_training[row]),
                held_out=beside,
                held_out_distance=float(c.to_held_out[row]),
                ratio=float(ratios[spaces[row], row]),
            )
        )
    return found


def _verdict(spaces: list[SpaceReport], count: int) -> tuple[str, str]:
    def place(space: SpaceReport) -> str:
        return "in pixels" if space is spaces[0] else "in features"

    most = min(spaces, key=lambda s: (s.twice_as_near_p, -s.twice_as_near))
    leaning = min(spaces, key=lambda s: s.by_chance_p)
    single = (
        f"{most.twice_as_near} of {count} recovered pictures lie at least twice as near to a training picture as to "
        f"any held-out one ({place(most)})"
    )
    if most.twice_as_near and most.twice_as_near_p < LEVEL:
        return "closer", f"Closer than chance explains: {single}. Look at the pairs: they may show training pictures."
    if leaning.by_chance_p < LEVEL:
        low, high = leaning.by_chance
        return "leaning", (
            "As a group nearer to training pictures than chance explains: the nearest real picture is a training "
            f"picture for {leaning.nearest_is_training:.0%} of them ({place(leaning)}; by chance {low:.0%} to "
            f"{high:.0%}). {single if most.twice_as_near else 'None is as near as a copy would be'}."
        )
    if most.twice_as_near:
        return "look", f"{single}, too few to tell from chance. Look at the pairs."
    return "none", (
        "No sign of copied training pictures in this measure: recovered pictures are no nearer to them than to real "
        "pictures that the teacher never saw. That does not prove that nothing private is in them."
    )


def _notes(card: TeacherCard, real: RealPictures, network: Teacher, recovered: int) -> list[str]:
    data, held_out, notes = real.data.name, len(real.held_out), [f"Real pictures: {n}." for n in real.data.notes]
    if card.domain and card.domain != data:
        notes.append(
            f"The teacher says that it was trained on {card.domain!r}, these pictures are called {data!r}: "
            "if they are not the same, the report means nothing."
        )
    if min(recovered, held_out) < FEW:
        notes.append(
            f"{recovered} recovered and {held_out} held-out pictures: with fewer than {FEW}, only a strong sign shows."
        )
    if network.card.domain == data:
        notes.append("The network behind the features was trained on pictures of the same data set.")
    return notes


def _space_name(network: Teacher) -> str:
    card = network.card
    return f"features of a {card.architecture} trained on {card.way} classes of {card.domain or 'unnamed data'}"
