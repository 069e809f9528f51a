"""The options that methods share; each class stands for one part that a method may have."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from dfml.core.config import Config, unset
from dfml.tasks.grouping import PROCEDURAL, GroupBy

KEPT_SEED = 0
"""Of what is kept for all runs."""
VALIDATION_QUERY, VALIDATION_SHOT = 15, 5
"""Query images per class of a validation episode; support images, where the method trains with no number of its own."""


class AdaptConfig(Config):
    """The network of the meta-model and how it adapts at test."""

    architecture: str = Field(
        "fewshot_conv4",
        min_length=1,
        max_length=200,
        examples=["fewshot_conv4", "fewshot_resnet10", "fewshot_resnet12", "fewshot_resnet18", "largest"],
        description="Network of the meta-model: a few-shot network, any other of timm's, or (for methods that fuse "
        "weights) largest: that of most teachers.",
    )
    width: int = Field(32, ge=2, le=512, description="Filters of its first stage, of few-shot networks.")
    way: int = Field(5, ge=2, le=100, description="Classes of a task.")
    learner: Literal["maml", "anil", "protonet"] = Field("maml", description="How the meta-model adapts.")
    inner_lr: float = Field(0.01, gt=0, le=10, description="Learning rate of the inner loop, in training and at test.")
    test_steps: int = Field(10, ge=1, le=200, description="Inner steps at test.")


class WatchedConfig(AdaptConfig):
    """Options of following a training on validation classes."""

    validate_every: int = Field(100, ge=1, le=1_000_000, description="Steps between validations.")
    validation_episodes: int = Field(30, ge=1, le=2000, description="Episodes of a validation.")


class MetaTrainingConfig(WatchedConfig):
    """Options of methods with an outer loop."""

    images_size: int | None = Field(
        None,
        ge=8,
        le=1024,
        exclude_if=unset,
        description="Height and width of all images, also of those that are recovered; if left out each teacher's own, "
        "and what most teachers have for the meta-model.",
    )

    iterations: int = Field(1000, ge=1, le=1_000_000, description="Outer steps.")
    tasks: int = Field(4, ge=1, le=64, description="Tasks of an outer step.")
    shot: int = Field(5, ge=1, le=100, description="Support images per class while training.")
    query: int = Field(15, ge=1, le=100, description="Query images per class while training.")
    inner_steps: int = Field(5, ge=1, le=100, description="Inner steps while training.")
    first_order: bool = Field(False, description="Drop second derivatives in the outer gradient (FOMAML).")
    outer_lr: float = Field(1e-3, gt=0, le=1, description="Adam's learning rate on the meta-parameters.")
    keep: Literal["last", "best"] = Field(
        "last", description="The last model, or the best on validation classes (named as side information)."
    )


class ClassesConfig(Config):
    """The option of using some of the teachers' classes.

    Attributes:
        within_way: No more of a teacher's than a task has.
        white_box: Teachers that only answer queries are left out.
    """

    within_way: ClassVar[bool] = True
    white_box: ClassVar[bool] = False

    classes_per_teacher: str | None = Field(
        None,
        max_length=100_000,
        coerce_numbers_to_str=True,
        exclude_if=unset,
        description="Which classes of each teacher are recovered and learned: a number, drawn by the seed, or a list "
        "of names or positions with commas between them; if left out all, or as many as a task has.",
    )


class RecoveringConfig(MetaTrainingConfig, ClassesConfig):
    """Options of recovering images from single teachers."""

    renamed: ClassVar[dict[str, str]] = {"agreement": "consensus"}

    recovered: Literal["kept", "fresh"] = Field(
        "fresh", description="Recover anew in each run, or take what `zoo prepare` (or an earlier run) has kept."
    )
    recovery_seed: int = Field(
        KEPT_SEED,
        ge=0,
        le=1_000_000_000,
        exclude_if=lambda seed: seed == KEPT_SEED,
        description="Seed of what is kept: runs with the same one share it, so that intervals over their own seeds "
        "leave out what recovering varies.",
    )
    visits: int = Field(
        1_000_000, ge=1, le=1_000_000, description="Different recoveries of a teacher; later visits repeat them."
    )
    recovered_per_class: int = Field(20, ge=2, le=500, description="Images per class in a recovery.")
    inversion_steps: int = Field(200, ge=1, le=20_000, description="Steps of a recovery.")
    inversion_lr: float = Field(5e-3, gt=0, le=1, description="Adam's learning rate on the generator and its noise.")
    bn: float = Field(1.0, ge=0, le=100, description="Weight of the distance from the teachers' BN statistics.")
    latent: int = Field(64, ge=1, le=4096, description="Noise numbers per image.")
    generator_width: int = Field(32, ge=2, le=512, multiple_of=2, description="Maps of the generator's first layer.")
    shift: int = Field(2, ge=0, le=16, description="Largest random shift in pixels before a teacher looks.")
    flip: bool = Field(True, description="Mirror at random before a teacher looks (not for characters).")
    consensus: int = Field(
        0,
        ge=0,
        le=1000,
        description="Sweeps over the zoo in which kept recoveries are revised until all teachers that know a class "
        "agree on its images, by the joint loss of PURER's set (ours); 0: each teacher's own images.",
    )


class GroupingConfig(RecoveringConfig):
    """Options of comparing and grouping teachers by their recovered images."""

    teachers: int = Field(4, ge=1, le=64, description="Teachers of a group step, sampled with replacement.")
    groups: int = Field(5, ge=1, le=1000, description="Groups of teachers; at most half as many as teachers.")
    group_by: GroupBy = Field("dissimilar", description="Which teachers share a group; dissimilar as published.")
    probe: str = Field(
        PROCEDURAL,
        description="Network that embeds teachers: procedural, trained on generated pictures; a model folder or a "
        ".safetensors file of torchvision's ResNet-34 (published); or embedded, trained on real pictures of the very "
        "classes that the zoos of CIFAR-FS know, which is side information.",
    )
    embed_visits: int = Field(1, ge=1, le=1000, description="Recoveries of a teacher that its embedding is taken from.")
    embed_batch: int = Field(5, ge=1, le=1000, description="Images in a batch of the embedding.")
    embed_filters: bool = Field(False, description="Average embeddings over each filter, for large probes.")


class TeacherPolicyConfig(Config):
    """Options of learning whom to ask."""

    renamed: ClassVar[dict[str, str]] = {"reliability": "teacher_policy", "reliability_lr": "policy_lr"}

    teacher_policy: Literal["none", "policy-gradient", "episodes", "reject"] = Field(
        "none",
        description="Sample teachers uniformly; by weights that a policy gradient learns on validation; (ours) by "
        "weights set once, before training, by what each teacher's features are worth on 12 labelled validation "
        "episodes (side information); or uniformly, refusing classes of which a teacher does not know the memory's "
        "images of others (published comparison).",
    )
    reward: Literal["features", "accuracy"] = Field(
        "features",
        description="What a drawn teacher earns: the accuracy of its own features on further validation episodes "
        "(ours), or the watched accuracy in per cent, mean of the last four steps, for all drawn alike (published).",
    )
    policy_lr: float = Field(0.1, gt=0, le=10, description="Adam's learning rate on the weights' logits.")
    reward_scale: Literal["standard", "percent"] = Field(
        "standard",
        description="Divide rewards less their running mean by their running deviation, or take them as they are, "
        "the first compared with 40 (published).",
    )
    likelihood: Literal["exact", "published"] = Field(
        "exact", description="Log-probability of draws without replacement, or as if each were the first."
    )
    entropy: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Weight of a bonus for uniform weights; 0 (published) ends with few teachers. With episodes what "
        "standard deviations of worth are divided by; 0: by 1.",
    )
    forget: float = Field(
        0.0,
        ge=0,
        le=1,
        description="The memory drops what came from teachers whose weight fell below this share of a uniform one.",
    )


class ReplayConfig(Config):
    """Options of replaying tasks from the memory."""

    replay_loss: Literal["mean", "sum"] = Field(
        "mean",
        exclude_if=lambda value: value == "mean",
        description="Of the tasks of a replay step; their sum, as published, weighs replay more beside the other step "
        "that the same Adam takes.",
    )


class InitConfig(Config):
    """Options of the first weights."""

    init: Literal["random", "any-teacher", "best-teacher"] = Field(
        "random",
        description="First weights: fresh, or (ours) those of a teacher of the meta-model's architecture: any-teacher, "
        "whom the seed draws; best-teacher, with the best reported accuracy, which trusts the reports.",
    )


class AugmentConfig(Config):
    """The option of augmenting."""

    augment: bool = Field(
        False, description="Mirror and move images from the memory at random, as `flip` and `shift` say (ours)."
    )


class PanelConfig(Config):
    """Options of the panel."""

    panel: int = Field(
        0,
        ge=0,
        le=1000,
        description="Teachers, sampled by the teacher policy, that also label images of the whole memory (ours, "
        "with ProtoNet); 0: none.",
    )
    panel_student: Literal["prototypes", "outputs"] = Field(
        "prototypes",
        description="What answers for a teacher of the panel: soft prototypes, beside the tasks of each memory update; "
        "or an output layer of its own that is thrown away at the end, in memory updates of their own.",
    )
    panel_share: float = Field(
        0.5, ge=0, le=1, description="With outputs: share of the memory updates that learn from the panel."
    )
    panel_lr: float = Field(2e-3, gt=0, le=1, description="With outputs: Adam's learning rate in these updates.")


def mostly_panel(options: Mapping[str, Any]) -> str:
    """Tell by a config's values that most memory updates are the panel's own; empty where they are not."""
    share, wanted = options.get("panel_share"), {"panel_student": "outputs", "learner": "protonet"}
    works = options.get("panel") and all(options.get(name) == value for name, value in wanted.items())
    if not works or not isinstance(share, int | float) or share <= 0.5:
        return ""
    return f"{100 * share:.0f} % panel distillation"


KEPT: dict[str, Any] = {"recovered": "kept", "visits": 1, "inversion_steps": 60, "inversion_lr": 1e-2}
"""Of the demos that share kept recoveries."""
PUBLISHED_GENERATOR: dict[str, Any] = {"latent": 256, "generator_width": 128, "shift": 4}
"""Of the papers that train a generator."""
