"""The numbers of a run in a student's words: title, axis and one sentence for each name."""

from typing import NamedTuple


class Metric(NamedTuple):
    """How a number is shown: a short title, a sentence for a student, whether it is a fraction in per cent."""

    title: str
    help: str = ""
    percent: bool = False


LOSS_OF_TASKS = (
    "What each outer step makes smaller: the loss on the query sets of its tasks or, on images that teachers were "
    "asked about, how far the answers are from theirs."
)
LOSS_OF_WEIGHTS = (
    "What each step makes smaller: the squared distance of the weights that are written for a teacher from its own, in "
    "units of each tensor's spread. There are no tasks."
)
VALIDATION = (
    "On real images of the zoo's validation classes. No teacher learned these classes, and the model is not trained on "
    "their images: they only serve to follow the training and, in some methods, to choose weights, teachers or when to "
    "stop. The test at the end has other classes."
)
METRICS = {
    "train/loss": Metric("loss", f"{LOSS_OF_TASKS} A method that only fuses weights has a loss of weights instead."),
    "train/accuracy": Metric("accuracy on pseudo tasks", "Share of right query images of the training tasks.", True),
    "val/accuracy": Metric("accuracy on validation classes", VALIDATION, True),
    "val/ci95": Metric("95 % interval", "Half-width of the 95 % interval of the validation accuracy.", True),
    "val/peak": Metric("peak", "Best accuracy on validation classes over the run.", True),
    "val/last": Metric("last", "Accuracy on validation classes at the end of the run.", True),
    "val/variation": Metric("variation", "By how much the last lies below the peak: what was forgotten.", True),
    "test/accuracy": Metric("accuracy on new classes", "On episodes of classes that no teacher has seen.", True),
    "test/ci95": Metric("95 % interval", "Half-width of the 95 % interval over the test episodes.", True),
    "tasks/diversity": Metric("task diversity", "Mean pairwise cosine distance between the newest tasks' embeddings."),
    "tasks/adversarial_rise": Metric("rise by adversarial steps", "By how much one raised its episode's outer loss."),
    "dro/shift": Metric("shift of the worst case", "How far a teacher's embedding was moved to where it fits worst."),
    "grad/alignment": Metric("gradient alignment", "Mean pairwise cosine between the gradients of a batch's tasks."),
    "grad/variance": Metric("gradient variance", "How far the gradients of a group's teachers are from their mean."),
    "grad/changed": Metric("change of the gradient", "How far making them agree bends their mean, as a share of it."),
    "group/loss": Metric("loss of a group", "What the teachers of a group ask for: their classes and soft answers."),
    "group/accuracy": Metric("accuracy on a group's tasks", "Share of its recovered images that are right.", True),
    "grad/bell": Metric("gradient of teachers in turn", "Length of the step that FREE's teachers of a round ask for."),
    "grad/replay": Metric("gradient of replay", "Mean length of the gradients that tasks of the memory ask for."),
    "groups/similarity": Metric("similarity within groups", "How alike the teachers of a group are, in the mean."),
    "memory/accuracy": Metric("accuracy on tasks of the memory", "At the end, adapted as at test.", True),
    "replay/steps": Metric("steps of a replay", "Outer steps on tasks of the memory until none was learned better."),
    "inversion/ce": Metric("cross-entropy", "How far the teacher is from giving each image its wanted class."),
    "inversion/bn": Metric("BN statistics", "How far feature statistics are from those stored in training."),
    "inversion/tv": Metric("total variation", "How rough the images are: smaller is smoother."),
    "inversion/l2": Metric("L2", "How far pixels are from mid-grey."),
    "inversion/teacher_accuracy": Metric("teacher accuracy", "Share that the teacher classifies as asked.", True),
    "inversion/judge_agreement": Metric(
        "judge agreement", "Share on which a judge, which the inverter never saw, agrees.", True
    ),
    "inversion/seconds": Metric("seconds", "Wall clock of the recovery."),
    "tasks/disagreement": Metric("API against student", "Distillation loss of the student on newly recovered queries."),
    "queries": Metric("teacher queries", "How many images the teachers were asked about."),
}


def metric(name: str) -> Metric:
    """Return the wording of a metric; unknown names are shown as they are."""
    return METRICS.get(name, Metric(name.split("/")[-1].replace("_", " ")))
