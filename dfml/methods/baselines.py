"""Baselines and references that take the teachers' weights as they are, and learn nothing."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.events import Done, Event, Note, Progress
from dfml.training.fusing import fused, in_one_order, read_average, said_of_inputs
from dfml.training.method import METHODS, Method
from dfml.training.options import AdaptConfig
from dfml.training.refusals import need_weights
from dfml.training.taking_part import read_teacher, read_teachers, with_weights
from dfml.zoo.zoo import Zoo

if TYPE_CHECKING:
    import torch

    from dfml.meta.model import MetaModel
    from dfml.training.context import Training
    from dfml.zoo.teacher import Teacher


class Baseline(Method):
    """A baseline on the teachers' weights."""

    space = "parameter"
    role = "baseline"
    Config = AdaptConfig


@METHODS.register("random")
class RandomInit(Baseline):
    """A network with random weights, adapted like any other model."""

    title = "Random initialisation"
    summary = "Learns nothing beforehand: random weights, then the usual adaptation. Others are compared with it."
    reference = "Baseline; Wang et al., UAI 2022, supplement 1.1"

    asks_teachers = False

    def train(self, training: Training) -> Iterator[Event]:
        """Draw the weights; see ``Method.train``."""
        yield Progress(0, 1, "drawing weights")
        model = training.untaught(self.name, self.config)
        yield Done(model.to(training.device))


class AverageConfig(AdaptConfig):
    """Options of averaging."""

    head: Literal["fresh", "average"] = Field(
        "fresh", description="Last layer: fresh weights, or the mean of heads whose slots mean different classes."
    )


@METHODS.register("average")
class Average(Baseline):
    """The element-wise mean of all teachers' weights ("vanilla average"), then the usual adaptation.

    Teachers' heads belong to unrelated label sets (slot j has no common meaning), so the head is
    fresh by default.
    """

    title = "Weight average"
    summary = "Averages the weights of teachers of one architecture, element by element."
    reference = "Baseline; Wang et al., UAI 2022, table 2 (VA)"
    papers = ("wang2022dro",)
    Config = AverageConfig

    one_architecture = True

    @classmethod
    def published(cls) -> AverageConfig:
        """The mean of all layers."""
        return AverageConfig(head="average")

    paper = published

    @classmethod
    def check_zoo(cls, zoo: Zoo, config: AverageConfig) -> None:
        """Networks of the architecture; see ``Method.check_zoo``."""
        fused(zoo, config, cls.name, head=config.head == "average")

    def train(self, training: Training) -> Iterator[Event]:
        """Average the weights; see ``Method.train``."""
        head = self.config.head == "average"
        training, config = training.fusing(self.name, self.config, head=head)
        model = training.untaught(self.name, config)
        taking_part = yield from read_average(training.zoo, model, head=head)
        model.details |= taking_part.details()
        yield Done(model.to(training.device))


class OtaConfig(AdaptConfig):
    """Options of optimal-transport averaging."""

    reference: str | None = Field(None, description="Id of the teacher to align to; if left out, a random one.")
    head: Literal["fresh", "average"] = Field(
        "fresh", description="Last layer: fresh weights, or the mean of heads whose slots mean different classes."
    )


@METHODS.register("ota")
class Ota(Baseline):
    """Averaging after each network's units are put into one order.

    Wang et al., UAI 2022, supplement 1.1 (OTA); the transport is that of Singh and Jaggi, NeurIPS 2020. Two networks
    trained from different seeds hold similar filters in different places, so that their plain mean mixes filters that
    have nothing in common. Here each layer's filters are first transported to those of a reference teacher.
    """

    title = "Optimal-transport average"
    summary = "Permutes each teacher's filters to match a reference teacher's, layer by layer, then averages."
    reference = "Singh and Jaggi, Model Fusion via Optimal Transport, NeurIPS 2020; OTA in Wang et al., UAI 2022"
    papers = ("singh2020fusion", "wang2022dro")
    Config = OtaConfig

    one_architecture = True

    @classmethod
    def published(cls) -> OtaConfig:
        """The mean of all layers."""
        return OtaConfig(head="average")

    paper = published

    @classmethod
    def check_zoo(cls, zoo: Zoo, config: OtaConfig) -> None:
        """Networks of the architecture, and the reference among them; see ``Method.check_zoo``."""
        zoo, _ = fused(zoo, config, cls.name, head=config.head == "average")
        if config.reference is not None:
            zoo.card(config.reference)

    def train(self, training: Training) -> Iterator[Event]:
        """Align and average; see ``Method.train``."""
        import torch

        from dfml.meta.fusion import load_average

        training, config = training.fusing(self.name, self.config, head=self.config.head == "average")
        model = training.untaught(self.name, config)
        asked = None if self.config.reference is None else training.zoo.card(self.config.reference).id
        teachers, taking_part = yield from read_teachers(training.zoo)
        yield from said_of_inputs([teacher.card for teacher in teachers])
        model.details |= taking_part.details()
        ids = [teacher.card.id for teacher in teachers]
        chosen = asked or ids[int(torch.randint(len(ids), (), generator=training.generator))]
        if chosen not in ids:
            raise BadInput(f"ota: the reference teacher {chosen!r} cannot be read; choose another.")
        model.details["reference"] = chosen
        yield Note(0, f"reference: teacher {chosen}", kind="teacher")
        aligned = yield from in_one_order(teachers, ids.index(chosen), model, self.name)
        load_average(model, aligned, head=self.config.head == "average")
        yield Done(model.to(training.device))


NO_META_MODEL = "no network that a meta-model for these images can be"


class BestTeacherConfig(AdaptConfig):
    """Options of the best teacher."""

    network: Literal["own", "given"] = Field(
        "own",
        description="own: the teacher's network, where the meta-model can be one; given: that of architecture and "
        "width, which must be the best teacher's.",
    )
    head: Literal["fresh", "teacher"] = Field("fresh", description="Last layer: fresh weights, or the teacher's own.")


@METHODS.register("best-teacher")
class BestTeacher(Baseline):
    """The teacher with the highest reported accuracy, adapted like any other model."""

    title = "Best teacher"
    summary = "Takes the teacher with the highest reported accuracy as the initialisation. Trusts the reports."
    reference = "Baseline; Hu et al., BiDf-MKD, ICML 2023 (Best-Model)"
    papers = ("hu2023bidf",)
    Config = BestTeacherConfig

    @classmethod
    def check_zoo(cls, zoo: Zoo, config: BestTeacherConfig) -> None:
        """Weights, and reports of their accuracy; see ``Method.check_zoo``."""
        if all(card.accuracy is None for card in zoo.cards):
            raise BadInput(f"best-teacher needs reported accuracies; zoo {zoo.name!r} gives none.")
        need_weights(zoo)

    def train(self, training: Training) -> Iterator[Event]:
        """Pick and copy the teacher; see ``Method.train``."""
        from dfml.training.context import REPORTED
        from dfml.training.new_model import start_model
        from dfml.training.ours.trust import best_reported, load_teacher_weights

        zoo = training.zoo
        yield Progress(0, 1, "choosing the teacher")
        self.check_zoo(zoo, self.config)
        if self.config.network == "own":
            best, model, others = yield from self.own(zoo, training.generator)
        else:
            best, others = (yield from best_reported(zoo)), {}
            if best is None:
                raise BadInput(f"best-teacher: no teacher of zoo {zoo.name!r} with a reported accuracy can be loaded.")
            model = start_model(zoo, self.config, training.generator, {"method": self.name})
        load_teacher_weights(model, best, head=self.config.head == "teacher", who=self.name)
        silent = {card.id: "reports no accuracy" for card in zoo.cards if card.accuracy is None}
        taking_part = with_weights(zoo, {**others, **silent})
        yield from taking_part.events(zoo)
        model.details |= {"teacher": best.card.id, "side_information": [REPORTED], **taking_part.details()}
        yield Note(1, f"teacher {best.card.id}, reported accuracy {best.card.accuracy:.1%}", kind="teacher")
        yield Done(model.to(training.device))

    def own(
        self, zoo: Zoo, generator: torch.Generator
    ) -> Generator[Event, None, tuple[Teacher, MetaModel, dict[str, str]]]:
        """The best teacher whose network a meta-model can be, that network afresh, and why others are no candidates.

        Batch normalisation takes the statistics of the batch at hand in a meta-model, not what teachers stored.
        """
        from dfml.meta.fusion import fits
        from dfml.training.new_model import start_model
        from dfml.training.ours.trust import by_report

        others: dict[str, str] = {}
        for better, card in enumerate(by_report(zoo)):
            config = self.config.override({"architecture": card.architecture, "width": card.width or self.config.width})
            teacher = yield from read_teacher(zoo, card)
            if teacher is None:
                continue
            try:
                model = start_model(zoo, config, generator, {"method": self.name}, like=card)
            except BadInput:
                others[card.id] = NO_META_MODEL
                continue
            if fits(teacher.net, model.net):
                if better:
                    text = f"passed over {better} with better reports, which cannot be loaded or be a meta-model"
                    yield Note(0, text, kind="teacher")
                return teacher, model, others
            others[card.id] = NO_META_MODEL
        raise BadInput(
            f"best-teacher: no teacher of zoo {zoo.name!r} that reports an accuracy can be loaded and is a "
            "network that a meta-model can be."
        )


class EnsembleFeaturesConfig(Config):
    """Options of the ensemble; it has no network of its own and takes no inner steps."""

    normalise: Literal["l2", "none"] = Field("l2", description="Scale each teacher's features to length 1, or not.")
    way: int = Field(5, ge=2, le=100, description="Classes of a task.")


@METHODS.register("ensemble-features")
class EnsembleFeatures(Baseline):
    """The nearest centroid over all teachers' features: what they know together before they are fused or distilled."""

    title = "Ensemble of features"
    summary = "Nearest class centroid over all teachers' features. A reference: as large as the zoo, not one model."
    reference = "Reference of this project; nearest centroids as in Snell et al., NeurIPS 2017"
    one_model = False
    role = "reference"
    papers = ("snell2017prototypical",)
    Config = EnsembleFeaturesConfig

    @classmethod
    def check_zoo(cls, zoo: Zoo, config: EnsembleFeaturesConfig) -> None:
        """Weights; see ``Method.check_zoo``."""
        need_weights(zoo)

    def train(self, training: Training) -> Iterator[Event]:
        """Collect the teachers; see ``Method.train``."""
        from dfml.meta.ensemble import EnsembleModel

        teachers, taking_part = yield from read_teachers(training.zoo)
        cfg: EnsembleFeaturesConfig = self.config
        told = {"method": self.name, "zoo": training.zoo.name, "way": cfg.way, "side_information": []}
        told |= taking_part.details()
        model = EnsembleModel(teachers, training.zoo, normalise=cfg.normalise, way=cfg.way, details=told)
        yield Done(model.to(training.device))
