"""Do recovered images show training images? A report for those who hold the real data; see docs/privacy.md.

Distances to the nearest real image of the teacher's classes are compared, in pixels and in the features of a network
that is not the teacher: recovered and held-out images to training images (smooth images are near to every image, so
that alone says nothing of copying), recovered images to training and to held-out ones, of which the larger set has
the nearer neighbour by chance alone, and single images that are twice as near to a training image.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image

from dfml.core.errors import BadInput
from dfml.core.names import find_name
from dfml.core.paths import read_json, write_atomically, write_json
from dfml.core.seeds import derive_seed
from dfml.data.episodes import PseudoTask
from dfml.data.folders import ClassSplit, load_split
from dfml.data.splits import split_class
from dfml.reports.distances import RealPictures, SpaceReport, compare
from dfml.reports.membership import MembershipTest
from dfml.reports.quality import features
from dfml.zoo.teacher import DETAILS, Teacher, TeacherCard, probe
from dfml.zoo.zoo import Zoo

FEW, FEWEST_HELD_OUT = 20, 10
PAIRS = 8
Sign = Literal["none", "look", "leaning", "closer"]
LEVEL = 0.005
"""Chance of an outcome that counts as a sign; two tests in two spaces give a false alarm in 2 % at most."""


@dataclass(frozen=True)
class Pair:
    """A recovered image and the training image that it is nearest to, in the space where the pair stands out most.

    ``recovered`` is its position in the task; ``training`` and ``held_out``, the nearest one, are positions in the data
    set's training split. ``ratio``: ``distance / held_out_distance``, near 0 for a copy, about 1 or less by chance.
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
        recovered: How many images; likewise ``training`` and ``held_out``, of which ``held_out_asked`` were compared
            as if they were recovered.
        level: ``none``; ``look`` (single images that stand out, too few to tell from chance); ``leaning`` (as a group
            nearer to training images, none like a copy); ``closer`` (more such images than chance gives).
        notes: What limits it.
        spaces: Pixels, then features.
        pairs: Those with the smallest ratio first.
        pictures: For each pair the recovered, the training and the held-out image, float32 [P, 3, C, H, W].
        membership: What the teacher's own answers tell, where it was asked; see ``reports/membership.py``.
    """

    teacher: str
    data: str
    recovered: int
    training: int
    held_out: int
    held_out_asked: int
    level: Sign
    verdict: str
    notes: list[str]
    spaces: list[SpaceReport]
    pairs: list[Pair]
    pictures: torch.Tensor = field(repr=False)
    membership: list[MembershipTest] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Everything but the images, as JSON values."""
        return {name: value for name, value in asdict(self).items() if name != "pictures"}

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
    zoo: Zoo, which: str | int, task: PseudoTask, source: str | Path, *, held_out: float | None = None, seed: int = 0
) -> PrivacyReport:
    """Compare recovered images with the real ones of a teacher's classes; the report is on the CPU.

    For ``which``, ``source`` and ``held_out`` see ``real_pictures``; ``seed`` draws the resamples.

    Raises:
        BadInput: There is nothing recovered, or see ``real_pictures``.
    """
    card = zoo.card(which)
    if len(task.labels) == 0 or not task.images.isfinite().all():
        raise BadInput(f"the images recovered from teacher {card.id!r} are none, or no numbers: recover them again.")
    real = real_pictures(zoo, which, source, held_out=held_out, device=task.images.device)
    assert card.classes is not None
    network = probe()
    recovered = real.fitted(task.images.float())
    rng = np.random.default_rng(derive_seed(seed, "privacy", card.id))
    scale, of = recovered[0].numel() ** 0.5, network.card
    about = f"features of a {of.architecture} trained on {of.way} classes of {of.domain or 'unnamed data'}"
    compared = [
        compare(recovered, real, lambda x: (x - 0.5).flatten(1) / scale, "pixels (root mean square difference)", rng),
        compare(recovered, real, lambda x: features(network, x), about, rng),
    ]
    spaces = [report for report, _ in compared]
    level, verdict = _verdict(spaces, len(recovered))
    # The recovered images with the smallest ratio in either space, each with its nearest real images there.
    tables = [table.assign(space=report.space, recovered=range(len(table))) for report, table in compared]
    rows = pd.concat(tables).sort_values("recovered", kind="stable").sort_values("ratio", kind="stable")
    chosen = [
        Pair(
            **row,
            recovered_class=card.classes[int(task.labels[row["recovered"]])],
            training_class=real.data.class_names[int(real.data.labels[row["training"]])],
        )
        for row in rows.drop_duplicates("recovered").head(PAIRS).to_dict("records")
    ]
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


def _verdict(spaces: list[SpaceReport], count: int) -> tuple[Sign, str]:
    def place(space: SpaceReport) -> str:
        return "in pixels" if space is spaces[0] else "in features"

    most = min(spaces, key=lambda s: (s.twice_as_near_p, -s.twice_as_near))
    leaning = min(spaces, key=lambda s: s.by_chance_p)
    single = (
        f"{most.twice_as_near} of {count} recovered images lie at least twice as near to a training image as to "
        f"any held-out one ({place(most)})"
    )
    if most.twice_as_near and most.twice_as_near_p < LEVEL:
        return "closer", f"Closer than chance explains: {single}. Look at the pairs: they may show training images."
    if leaning.by_chance_p < LEVEL:
        low, high = leaning.by_chance
        return "leaning", (
            "As a group nearer to training images than chance explains: the nearest real image is a training "
            f"image for {leaning.nearest_is_training:.0%} of them ({place(leaning)}; by chance {low:.0%} to "
            f"{high:.0%}). {single if most.twice_as_near else 'None is as near as a copy would be'}."
        )
    if most.twice_as_near:
        return "look", f"{single}, too few to tell from chance. Look at the pairs."
    return "none", (
        "No sign of copied training images in this measure: recovered images are no nearer to them than to real "
        "images that the teacher never saw. That does not prove that nothing private is in them."
    )


def _notes(card: TeacherCard, real: RealPictures, network: Teacher, recovered: int) -> list[str]:
    data, held_out, notes = real.data.name, len(real.held_out), [f"Real images: {n}." for n in real.data.notes]
    if card.domain and card.domain != data:
        notes.append(
            f"The teacher says that it was trained on {card.domain!r}, these images are called {data!r}: "
            "if they are not the same, the report means nothing."
        )
    if min(recovered, held_out) < FEW:
        notes.append(
            f"{recovered} recovered and {held_out} held-out images: with fewer than {FEW}, only a strong sign shows."
        )
    if network.card.domain == data:
        notes.append("The network behind the features was trained on images of the same data set.")
    return notes


def real_pictures(
    zoo: Zoo, which: str | int, source: str | Path, *, held_out: float | None = None, device: torch.device | str = "cpu"
) -> RealPictures:
    """Find the real images of a teacher (id or position); only its card is read.

    ``source`` is the class-folder data set whose ``train`` split it was trained on; ``held_out`` the share of each
    class's images, the last ones, that it was not trained on, in (0, 1), by default what its training recorded.

    Raises:
        BadInput: The teacher names no classes or does not record how it was trained; the data set lacks its classes,
            is an embedded sample, or has too few images.
    """
    card = zoo.card(which)
    share = recorded_share(zoo, card) if held_out is None else held_out
    if not 0 < share < 1:
        raise BadInput(f"the held-out share must be between 0 and 1, received {share}.")
    data = _find(card, source)
    classes = dict.fromkeys(find_name(name, data.class_names) for name in card.classes or ())
    parts = [split_class(data.members[c], share) for c in classes if c is not None]
    training, held = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    if len(held) < FEWEST_HELD_OUT:
        raise BadInput(
            f"{len(held)} held-out images of teacher {card.id!r}'s classes in {data.name}; a comparison needs "
            f"at least {FEWEST_HELD_OUT}."
        )
    return RealPictures(data, training, held, card, torch.device(device))


def recorded_share(zoo: Zoo, card: TeacherCard) -> float:
    """Return the share of each class's images, its last ones, on which a teacher was not trained, by its own record.

    Raises:
        BadInput: It records none.
    """
    details = zoo.folder / card.id / DETAILS
    recorded = read_json(details, "card") if details.is_file() else None
    for name in ("pretraining", "held_out"):
        recorded = recorded.get(name) if isinstance(recorded, dict) else None
    if not isinstance(recorded, float):
        raise BadInput(
            f"teacher {card.id!r} does not record which images it was trained on (`zoo pretrain` writes that): "
            "give the held-out share of each class's images."
        )
    return recorded


def _find(card: TeacherCard, source: str | Path) -> ClassSplit:
    if str(source).startswith("sample:"):
        raise BadInput(
            f"{source} is a sample of other classes: give the data set that teacher {card.id!r} learnt from."
        )
    channels, height, width = card.input_size
    data = load_split(source, "train", size=max(height, width), channels=channels)
    if not card.classes:
        raise BadInput(f"teacher {card.id!r} names no classes: its training images cannot be found in {data.name}.")
    missing = [name for name in card.classes if find_name(name, data.class_names) is None]
    if missing:
        raise BadInput(
            f"{data.name}/train lacks {len(missing)} of teacher {card.id!r}'s classes, such as {missing[0]!r}: "
            "give the data set that it was trained on."
        )
    return data
