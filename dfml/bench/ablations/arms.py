"""The arms of ``bench ablations``: by method, which part of it is taken away or changed, and what that is to show.

An arm is an ordinary training of the method's preset with a few options changed. It is set against the arm named
``against`` of the same method, by default the whole method as it is published.
"""

from dataclasses import dataclass
from typing import Any

GIVEN = "given"
WHOLE = "published"
"""The arm that changes nothing."""


@dataclass(frozen=True)
class Arm:
    """One arm of a method.

    Attributes:
        method: Whose.
        name: Of the arm, told apart by it from the method's others; also in names of folders.
        question: What the comparison answers, for readers of the table.
        changes: ``key=value`` pairs that change the preset.
        against: The arm that it is compared with.
        teachers: Only so many teachers of the zoo, sampled by the seed; None: all.
        calibrate: A calibrator of the adapted model; the training is that of ``against``.
        polluted: Options of ``PollutionConfig`` by name, and ``source``; empty: the zoo as it is. A source is
            ``GIVEN`` where it is the zoo that the study is given, and None where it is the embedded one.
        figures: Curves of the run whose last value stands in the table, by their names.
    """

    method: str
    name: str
    question: str
    changes: tuple[str, ...] = ()
    against: str = WHOLE
    teachers: int | None = None
    calibrate: str | None = None
    polluted: tuple[tuple[str, Any], ...] = ()
    figures: tuple[str, ...] = ()


def _arms(method: str, *rows: tuple[str, str, tuple[str, ...]], **shared: Any) -> list[Arm]:  # noqa: ANN401 - fields of Arm
    return [Arm(method, name, question, changes, **shared) for name, question, changes in rows]


def _polluted(rate: int, attack: str, source: str | None = None) -> list[Arm]:
    """The ways of choosing teachers in a zoo of 20 honest teachers with so many per cent that deceive."""
    zoo = (("rate", rate), ("attack", attack), ("clean", 20), ("source", source))
    kind = "of the given domain" if source else "of another domain" if attack == "ood" else "untrained"
    whole = f"{rate} % {kind}"
    return [
        Arm("teapot", whole, "the whole method among deceptive teachers", polluted=zoo),
        Arm("teapot", f"{whole}, evenly", "does the policy help there?", ("teacher_policy=none",), whole, polluted=zoo),
        Arm("teapot", f"{whole}, weighed", "does weighing before?", ("teacher_policy=episodes",), whole, polluted=zoo),
        Arm("teapot", f"{whole}, rejecting", "is rejecting better?", ("teacher_policy=reject",), whole, polluted=zoo),
    ]


DRIFT = ("val/peak", "val/last", "val/variation")
GROUPS = ("memory/accuracy", "groups/similarity", "grad/alignment", "grad/changed")
EMBEDDINGS = ("tasks/diversity", "dro/shift")
MORE_TEACHERS = "what do more teachers bring?"
CALIBRATION = "does calibrating to each task (ICFIL) help its model?"

ARMS: tuple[Arm, ...] = (
    *_arms(
        "purer",
        (WHOLE, "the whole method", ()),
        ("no adversarial steps", "is inversion alone (EI) as good as the curriculum (ECI)?", ("adversarial=0",)),
        ("adversarial at random", "is the timing by plateaus worth anything?", ("curriculum=random",)),
        ("adversarial always", "is a curriculum better than adversarial steps throughout?", ("curriculum=always",)),
    ),
    Arm("purer", "10 teachers", MORE_TEACHERS, teachers=10),
    Arm("purer", "30 teachers", MORE_TEACHERS, teachers=30),
    Arm("purer", "ICFIL", CALIBRATION, calibrate="icfil"),
    *_arms(
        "bidf-mkd",
        (WHOLE, "the whole method", ()),
        ("plain query sets", "are query sets near the boundary worth anything?", ("boundary=0",)),
        ("no bi-level loop", "is distilling in the inner loop worth anything?", ("kd_steps=0",)),
        ("fewer queries a step", "what does a smaller budget of queries cost?", ("q=5",)),
        ("half the steps", "the same by fewer steps", ("inversion_steps=100", "query_inversion_steps=100")),
        ("labels only", "what do answers of nothing but the best class cost?", ("outputs=labels",)),
        ("with gradients", "what does asking instead of differentiating cost?", ("oracle=autograd",)),
    ),
    Arm("bidf-mkd", "ICFIL", CALIBRATION, calibrate="icfil"),
    *_arms(
        "teapot",
        (WHOLE, "the whole method", ()),
        ("no interpolation", "does interpolation hold off the drift of tasks?", ("interpolated=0",)),
        ("memory of one", "does a memory hold off the drift of tasks?", ("capacity=1",)),
        ("teachers evenly", "is the teacher policy worth anything in an honest zoo?", ("teacher_policy=none",)),
        ("weighed before", "does weighing teachers once by 12 labelled episodes do?", ("teacher_policy=episodes",)),
        ("outliers rejected", "is rejecting outliers as good, in an honest zoo?", ("teacher_policy=reject",)),
        figures=DRIFT,
    ),
    Arm("teapot", "ICFIL", CALIBRATION, calibrate="icfil"),
    *(arm for rate in (5, 20, 40, 60, 80) for arm in _polluted(rate, "ood")),
    *_polluted(40, "fake"),
    *_polluted(40, "ood", GIVEN),
    *_arms(
        "free",
        (WHOLE, "the whole method", ()),
        ("teachers apart", "is learning teachers in turn (BELL) better than apart?", ("bell=apart",)),
        ("no BELL", "is learning from new recoveries worth anything beside replay?", ("bell=off",)),
        (
            "BELL with Adam",
            "the paper's steps of a derivation, or those of the authors' code?",
            ("bell_inner=adam", "bell_lr=0.001", "bell_scale=67"),
        ),
        ("replay averaged", "does the weight of replay beside BELL matter?", ("replay_loss=mean",)),
        ("no replay", "is the memory worth anything?", ("replay_limit=0",)),
        ("no warm-up", "is warming up the meta-generator worth anything?", ("warm_up=0", "iterations=41")),
        ("not adversarial", "is seeking disagreement with the learner worth anything?", ("adversarial=0",)),
        ("generator by Reptile", "which gradient should the meta-generator have?", ("generator_outer=reptile",)),
        ("generator by each step", "the same", ("generator_outer=fomaml-every",)),
        figures=("grad/bell", "grad/replay", "grad/alignment"),
    ),
    Arm("free", "ICFIL", CALIBRATION, calibrate="icfil"),
    *_arms(
        "tgr",
        (WHOLE, "the whole method: five groups of dissimilar teachers", ()),
        ("no regularisation", "is regularising gradients (IGR) worth anything?", ("beta=0",)),
        ("relative displacement", "the same in a size at which it holds to first order", ("beta_scale=relative",)),
        ("similar groups", "should a group's teachers be unlike?", ("group_by=similar",)),
        ("random groups", "are groups by similarity better than by chance?", ("group_by=random",)),
        ("one group", "are groups worth anything?", ("group_by=random", "groups=1")),
        ("2 groups", "how many groups?", ("groups=2",)),
        ("10 groups", "how many groups?", ("groups=10",)),
        ("neither", "are regularisation and groups worth anything together?", ("beta=0", "group_by=random")),
        ("probe of real pictures", "does the probe that saw them matter?", ("probe=embedded",)),
        ("no replay", "is the memory worth anything?", ("replay_limit=0",)),
        figures=GROUPS,
    ),
    Arm("tgr", "ICFIL", CALIBRATION, calibrate="icfil"),
    *_arms(
        "dro",
        (WHOLE, "the whole method, offline, with the published fixed split", ()),
        ("no worst case", "is moving embeddings to their worst case worth anything?", ("descent_steps=0",)),
        ("re-drawn split", "should the validating teachers change each epoch?", ("resplit=true",)),
        ("online", "what does seeing each teacher once cost?", ("mode=online",)),
        ("five descent steps", "does a worst case help in which gamma can act?", ("descent_steps=5",)),
        figures=EMBEDDINGS,
    ),
    *_arms(
        "dro",
        ("gamma 0.5", "how far may the worst case be?", ("descent_steps=5", "gamma=0.5")),
        ("gamma 10", "how far may the worst case be?", ("descent_steps=5", "gamma=10")),
        against="five descent steps",
        figures=EMBEDDINGS,
    ),
    Arm(
        "dro",
        "online, no worst case",
        "is it worth anything online?",
        ("mode=online", "descent_steps=0"),
        "online",
        figures=EMBEDDINGS,
    ),
    Arm("dro", "ICFIL", CALIBRATION, calibrate="icfil"),
    *_arms(
        "distill",
        (WHOLE, "the whole baseline, from fresh weights", ()),
        ("own answers", "are the answers of all teachers worth anything beside their own?", ("targets=own",)),
        ("from any teacher", "is starting from a teacher's weights worth anything?", ("init=any-teacher",)),
    ),
    Arm(
        "distill",
        "from the best teacher",
        "is the best reported teacher a better start than any?",
        ("init=best-teacher",),
        "from any teacher",
    ),
    Arm("distill", "ICFIL", CALIBRATION, calibrate="icfil"),
)
