"""Lesson 8: distances of recovered pictures and planted copies from training pictures, and what losses tell."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from dfml.bench.job import Row, Say
from dfml.bench.lessons.building import LessonsConfig
from dfml.bench.lessons.dream_settings import PER_CLASS, SHOWN, last_of
from dfml.bench.lessons.sheets import packed, rounded
from dfml.core.errors import BadInput
from dfml.core.seeds import derive_seed
from dfml.data.episodes import PseudoTask
from dfml.inversion.pixels import Pixels
from dfml.inversion.recipe import Recipe
from dfml.reports.distances import RealPictures, nearest, share_smaller
from dfml.reports.privacy import privacy_report, real_pictures
from dfml.reports.quality import agreement, answers
from dfml.reports.recovery import invert_teachers
from dfml.zoo import open_zoo
from dfml.zoo.zoo import Zoo

NOISES, COPIES = (0.05, 0.1, 0.2), 100
ASKED_TEACHERS = 5
"""Teachers whose losses are compared."""


def measure(config: LessonsConfig, progress: Say) -> tuple[Row, dict]:
    """Distances and verdicts of the privacy report, and losses on pictures that trained and that did not."""
    if config.data is None:
        raise BadInput("leaks compares with real pictures: give --data DIR.")
    zoo = open_zoo(config.zoo)
    progress("leaks: recovering")
    recipe = Recipe(zoo, Pixels(Pixels.preset("demo")), PER_CLASS, config.seed)
    task = last_of(invert_teachers(recipe, [SHOWN]))[0].task
    real, generator = real_pictures(zoo, SHOWN, config.data), torch.Generator().manual_seed(config.seed)
    rows = {"recovered": _row(zoo, config, task, real)}
    for noise in NOISES:
        progress(f"leaks: copies with noise {noise}")
        rng = np.random.default_rng(derive_seed(config.seed, "copies", str(noise)))
        chosen = rng.choice(len(real.training), COPIES, replace=False)
        pictures = real.at(real.training[chosen])
        copies = (pictures + noise * torch.randn(pictures.shape, generator=generator)).clamp(0, 1)
        labels = _slots(zoo, SHOWN, real, real.training[chosen])
        rows[f"copies-{noise}"] = _row(zoo, config, PseudoTask(copies, labels, torch.empty(0), SHOWN, {}), real)
    fresh = real.at(real.held_out[real.asked])
    rows["fresh"] = {"distances": rounded(_distances(fresh, real))}
    return {
        "what": f"pixel distance to the nearest training picture of {len(task.labels)} recovered, {COPIES} planted "
        f"and all held-out pictures of teacher {SHOWN}; losses on training and held-out pictures "
        f"of {ASKED_TEACHERS} teachers",
        "teacher": SHOWN,
        "training": len(real.training),
        "held_out": len(real.held_out),
        "noises": list(NOISES),
        "rows": rows,
        "membership": _membership(zoo, config, progress),
    }, {}


def _slots(zoo: Zoo, teacher: str, real: RealPictures, positions: np.ndarray) -> torch.Tensor:
    names = list(zoo.card(teacher).classes or ())
    return torch.tensor([names.index(real.data.class_names[int(real.data.labels[i])]) for i in positions])


def _distances(pictures: torch.Tensor, real: RealPictures) -> np.ndarray:
    """Root mean square difference from the nearest training picture, mirrored ones too."""
    fitted = real.fitted(pictures.float())
    scale = fitted[0].numel() ** 0.5

    def embed(x: torch.Tensor) -> torch.Tensor:
        return (x - 0.5).flatten(1) / scale

    found, _ = nearest([embed(fitted), embed(fitted.flip(-1))], real.chunks(real.training, embed), 1)
    return found[:, 0].numpy()


def _row(zoo: Zoo, config: LessonsConfig, task: PseudoTask, real: RealPictures) -> Row:
    report = privacy_report(zoo, SHOWN, task, config.data or "", seed=config.seed)
    pixels = report.spaces[0]
    return {
        "distances": rounded(_distances(task.images, real)),
        "verdict": report.level,
        "twice_as_near": pixels.twice_as_near,
        "of": report.recovered,
    }


def _membership(zoo: Zoo, config: LessonsConfig, progress: Say) -> Row:
    """AUC of guessing by the loss who was in the training; 0.5 is a coin."""
    found, shown = [], {}
    for card in zoo.cards[:ASKED_TEACHERS]:
        progress(f"leaks: losses of teacher {card.id}")
        real, teacher = real_pictures(zoo, card.id, config.data or ""), zoo.teacher(card.id)
        losses, right = [], []
        for positions in (real.training, real.held_out):
            logits, labels = answers(teacher, real.at(positions)), _slots(zoo, card.id, real, positions)
            losses.append(F.cross_entropy(logits, labels, reduction="none").numpy().astype(np.float16))
            right.append(float(agreement(logits, labels).float().mean()))
        auc = float(share_smaller(losses[0].astype(np.float64), losses[1].astype(np.float64)))
        found.append({"teacher": card.id, "auc": round(auc, 4), "right": rounded(right)})
        if card.id == SHOWN:
            shown = {"training": packed(losses[0]), "held_out": packed(losses[1])}
    return {"teachers": found, "losses": shown}
