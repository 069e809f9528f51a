"""Do a network's answers tell which images it was trained on? Membership tests; see docs/privacy.md.

Each test is a score that is higher for images that look trained on:

- ``loss``: the negative cross-entropy with the true class (Yeom et al., CSF 2018);
- ``confidence``: the largest probability, for which no class needs to be known;
- ``calibrated``: the mean loss of shadows that did not see the image, less the network's own (Watson et al., ICLR
  2022): an image that is easy for all no longer passes for one that was learned.

Two controls say how to read them:

- ``shadows alone``: the shadows' mean loss without the network, which tells whether the two parts differ by themselves
  to networks that saw some of both;
- ``shadow as target``: the loss of the shadows themselves, as mean over them. Chance alone chose what trained a shadow,
  so here the two parts are alike, which those of a network need not be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Progress
from dfml.core.model_config import read_config
from dfml.core.names import find_name
from dfml.core.paths import read_json
from dfml.data.folders import ClassSplit
from dfml.reports.distances import RealPictures
from dfml.reports.quality import placed
from dfml.zoo.build.shadows import Shadow, ShadowPlan, load_shadows, train_shadows
from dfml.zoo.build.zoo_config import PretrainConfig
from dfml.zoo.listing import DETAILS, TeacherCard
from dfml.zoo.teacher import Teacher
from dfml.zoo.zoo import Zoo

LOSS, CONFIDENCE, CALIBRATED, CONTROL = "loss", "confidence", "calibrated", "shadows alone"
TARGET = "shadow as target"
NORMAL = 1.959964
"""97.5 % quantile of the normal distribution."""
FALSE_ALARMS = 0.01
"""Share of held-out images taken for training images, at which the share of training images found is told."""


@dataclass(frozen=True)
class MembershipTest:
    """What one score tells.

    Attributes:
        score: ``loss``, ``confidence``, ``calibrated``, ``shadows alone`` or ``shadow as target``; see the module.
        auc: Chance that a training image has a higher score than a held-out one, in [0, 1]; 0.5 is a coin.
        ci95: Its 95 % interval, by DeLong's variance over images, which counts the network as given.
        found: Share of training images above the score that 1 % of the held-out ones exceed; 0.01 is a coin.
        members: How many training images were scored; ``others``: how many held-out ones.
        tells: Whether the interval lies above 0.5.
        verdict: One sentence.
    """

    score: str
    auc: float
    ci95: tuple[float, float]
    found: float
    members: int
    others: int
    tells: bool
    verdict: str


def delong(members: np.ndarray, others: np.ndarray) -> tuple[float, tuple[float, float]]:
    """AUC of scores [n] and [m] of which the first should be higher, and its 95 % interval; ties count half.

    The variance is that of DeLong et al. (Biometrics 1988) by ranks (Sun and Xu, IEEE SPL 2014): images are drawn
    independently. Where all of one side exceed the other it is 0, and so is the interval's width.
    """
    from scipy.stats import rankdata

    n, m = len(members), len(others)
    ranks = rankdata(np.concatenate([members, others]))
    above = (ranks[:n] - rankdata(members)) / m  # for each member the share of others below it
    below = 1 - (ranks[n:] - rankdata(others)) / n  # for each other the share of members above it
    auc = float(above.mean())
    half = NORMAL * float(np.sqrt(above.var(ddof=1) / n + below.var(ddof=1) / m))
    return auc, (max(0.0, auc - half), min(1.0, auc + half))


def found_at(members: np.ndarray, others: np.ndarray, false_alarms: float = FALSE_ALARMS) -> float:
    """Share of members [n] above the score that at most ``false_alarms`` of the others [m] exceed."""
    threshold = np.sort(others)[::-1][int(false_alarms * len(others))]
    return float((members > threshold).mean())


def membership_test(score: str, members: np.ndarray, others: np.ndarray) -> MembershipTest:
    """Compare scores of training images [n] and of held-out ones [m]; ``BadInput``: a score is no number."""
    if not (np.isfinite(members).all() and np.isfinite(others).all()):
        raise BadInput("an answer is no number, so nothing can be told by it.")
    return _told(score, *delong(members, others), found_at(members, others), len(members), len(others))


def _told(score: str, auc: float, ci95: tuple[float, float], found: float, members: int, others: int) -> MembershipTest:
    (low, high), what = ci95, NAMED[score]
    interval = f"AUC {auc:.3f}, 95 % interval {low:.3f} to {high:.3f}"
    if score == CONTROL:
        alike = low <= 0.5 <= high
        verdict = f"Shadows take both parts for {'equally' if alike else 'unequally'} hard ({interval})."
    elif low > 0.5:
        verdict = f"{what} tells training images from held-out ones better than a coin ({interval})."
    elif high < 0.5:
        verdict = (
            f"{what} tells the two parts apart the wrong way round: training images look less trained on ({interval}). "
            "That is a sign, too, though not of plain memory."
        )
    else:
        verdict = f"{what} does not tell training images from held-out ones ({interval})."
    return MembershipTest(score, auc, ci95, found, members, others, low > 0.5, verdict)


NAMED = {
    LOSS: "The loss",
    CONFIDENCE: "The confidence",
    CALIBRATED: "The loss set against shadows",
    CONTROL: "The loss of shadows alone",
    TARGET: "The loss of a shadow itself",
}
"""How sentences call the scores."""


def compared(scores: Mapping[str, np.ndarray], trained: np.ndarray) -> list[MembershipTest]:
    """The test of each score [N]; ``trained``, bool [N], says which images trained."""
    return [membership_test(name, each[trained], each[~trained]) for name, each in scores.items()]


def loss_and_confidence(logits: torch.Tensor, labels: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Cross-entropy [N] and largest probability [N] of logits [N, classes], float64; labels int64 [N]."""
    exact = logits.double()
    return F.cross_entropy(exact, labels, reduction="none").cpu().numpy(), exact.softmax(1).amax(1).cpu().numpy()


def out_losses(losses: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Mean loss [N] of the shadows that did not train on each image; of a pair at least one did not.

    ``losses`` of each shadow, [shadows, N], and whether it trained on the image, bool [shadows, N].
    """
    return np.mean(losses, axis=0, where=~seen)


def shadow_tests(
    shadows: Iterator[Shadow],
    losses: Callable[[Shadow], np.ndarray],
    positions: np.ndarray,
    loss: np.ndarray,
    trained: np.ndarray,
) -> list[MembershipTest]:
    """The calibrated test of a network's loss [N] on images at positions [N], and its controls.

    ``losses`` gives a shadow's [N] on the same images; ``trained``, bool [N], says which trained the network. The
    interval of ``shadow as target`` is the mean of the shadows' own, which that of a mean never exceeds.
    """
    asked = [(losses(shadow), np.isin(positions, shadow.trained)) for shadow in shadows]
    reference = out_losses(np.stack([each for each, _ in asked]), np.stack([seen for _, seen in asked]))
    alone = [membership_test(TARGET, -each[seen], -each[~seen]) for each, seen in asked]
    low, high = np.mean([test.ci95 for test in alone], axis=0).tolist()
    auc, found = (float(np.mean([getattr(test, name) for test in alone])) for name in ("auc", "found"))
    target = _told(TARGET, auc, (low, high), found, alone[0].members, alone[0].others)
    return [*compared({CALIBRATED: reference - loss, CONTROL: -reference}, trained), target]


def plan_of(zoo: Zoo, card: TeacherCard, data: ClassSplit) -> ShadowPlan:
    """Shadows of a teacher's own architecture, classes and training, as far as it records them."""
    recorded = read_json(zoo.folder / card.id / DETAILS, "card")
    known = recorded.get("pretraining") if isinstance(recorded, dict) else None
    config = PretrainConfig.parse(known) if isinstance(known, dict) else PretrainConfig()
    width = (read_config(zoo.folder / card.id).get("model_args") or {}).get("width")
    name = f"{card.architecture}:{width}" if width and card.architecture.startswith("fewshot_") else card.architecture
    return ShadowPlan(name, _places(card, data), config, card.mean, card.std)


def _places(card: TeacherCard, data: ClassSplit) -> tuple[int, ...]:
    """Positions of a teacher's classes among the data set's, in the order of its outputs."""
    places = [find_name(name, data.class_names) for name in card.classes or ()]
    return tuple(place for place in places if place is not None)


def teacher_membership(
    zoo: Zoo, real: RealPictures, card: TeacherCard, *, shadows: int = 0, jobs: int = 1
) -> Iterator[Event]:
    """Test a teacher on the real images of its classes (see ``privacy.real_pictures``).

    ``shadows`` is an even number of networks, trained (once, see ``ShadowPlan.folder``) in ``jobs`` processes.

    Yields:
        Progress while shadows are trained, and last ``Done(list[MembershipTest])``.
    """
    teacher = zoo.teacher(card.id)
    positions = np.concatenate([real.training, real.held_out])
    trained = np.arange(len(positions)) < len(real.training)
    place = {c: slot for slot, c in enumerate(_places(card, real.data))}
    labels = torch.tensor([place[int(c)] for c in real.data.labels[positions]], device=real.device)

    def asked(network: Teacher) -> tuple[np.ndarray, np.ndarray]:
        return loss_and_confidence(_answers(network, real, positions), labels)

    loss, confidence = asked(teacher)
    tests = compared({LOSS: -loss, CONFIDENCE: confidence}, trained)
    if shadows:
        plan = plan_of(zoo, card, real.data)
        for done in train_shadows(real.data, plan, shadows, jobs=jobs):
            yield Progress(done, shadows, f"shadow teachers of {card.id}")
        kept = load_shadows(real.data, plan, shadows)
        tests += shadow_tests(kept, lambda shadow: asked(shadow.teacher)[0], positions, loss, trained)
    yield Done(tests)


@torch.no_grad()
def _answers(network: Teacher, real: RealPictures, positions: np.ndarray) -> torch.Tensor:
    network = placed(network, real.device)
    return torch.cat([network.logits(x) for x in real.chunks(positions, lambda x: x)])
