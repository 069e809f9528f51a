"""The contract of a method, and the options that all trained methods share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field

from dfml.core.config import Config
from dfml.core.errors import BadInput, nearest
from dfml.core.events import Done, Event
from dfml.core.registry import Registry
from dfml.data.folders import list_splits
from dfml.meta.learners import LearnerConfig, make_learner
from dfml.meta.model import MetaModel, new_meta_model
from dfml.zoo.zoo import Zoo


class AdaptConfig(Config):
    """The network of the meta-model and how it adapts at test."""

    architecture: Literal["fewshot_conv4", "fewshot_resnet10", "fewshot_resnet12", "fewshot_resnet18"] = Field(
        "fewshot_conv4", description="Network of the meta-model."
    )
    width: int = Field(32, ge=2, le=512, description="Filters of its first stage.")
    way: int = Field(5, ge=2, le=100, description="Classes of a task.")
    learner: Literal["maml", "anil", "protonet"] = Field("maml", description="How the meta-model adapts.")
    inner_lr: float = Field(0.01, gt=0, le=10, description="Rate of the inner loop, in training and at test.")
    test_steps: int = Field(10, ge=1, le=200, description="Inner steps at test.")


class MetaTrainingConfig(AdaptConfig):
    """Options of methods with an outer loop."""

    iterations: int = Field(1000, ge=1, le=1_000_000, description="Outer steps.")
    tasks: int = Field(4, ge=1, le=64, description="Tasks of an outer step.")
    shot: int = Field(5, ge=1, le=100, description="Support pictures a class while training.")
    query: int = Field(15, ge=1, le=100, description="Query pictures a class while training.")
    inner_steps: int = Field(5, ge=1, le=100, description="Inner steps while training.")
    first_order: bool = Field(False, description="Drop second derivatives in the outer gradient (FOMAML).")
    outer_lr: float = Field(1e-3, gt=0, le=1, description="Adam's rate on the meta-parameters.")
    validate_every: int = Field(100, ge=1, le=1_000_000, description="Outer steps between validations.")
    validation_episodes: int = Field(30, ge=1, le=2000, description="Episodes of a validation.")
    keep: Literal["last", "best"] = Field(
        "last", description="The last model, or the best on validation classes (named as side information)."
    )


class Method(ABC):
    """A way from a zoo to a meta-model.

    Attributes:
        name: Registered name.
        title: Name for people.
        summary: One sentence on the idea.
        reference: Authors, title, venue, year.
        data_free: False only for references that see real training pictures.
        long: Whether it has steps to be watched, kept and gone on from.
        space: Where it works: on pictures (``data``), or on weights alone, if on anything (``parameter``).
        one_model: False only for references that need the whole zoo at test.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str]
    data_free: ClassVar[bool] = True
    long: ClassVar[bool] = False
    space: ClassVar[Literal["data", "parameter"]] = "data"
    one_model: ClassVar[bool] = True
    Config: ClassVar[type[Config]]

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.preset("demo")

    @classmethod
    def preset(cls, name: str = "demo") -> Config:
        """A whole config: ``demo`` (minutes on two CPU cores) or ``paper``.

        Raises:
            BadInput: Another name.
        """
        presets = {"demo": cls.demo, "paper": cls.paper}
        if name not in presets:
            raise BadInput(f"unknown preset {name!r}.{nearest(name, presets)} Known: demo, paper.")
        return presets[name]()

    @classmethod
    def demo(cls) -> Config:
        """The config for a laptop."""
        return cls.Config()

    @classmethod
    def paper(cls) -> Config:
        """The published config."""
        return cls.Config()

    @classmethod
    def check_data(cls, data: str | None) -> None:
        """See that real training pictures are given where the method is not data-free, before a run is queued.

        Args:
            data: As of ``train``.

        Raises:
            BadInput: They are needed, and these have no split ``train``.
        """
        if cls.data_free:
            return
        if data is None or data.startswith("sample:") or "train" not in list_splits(Path(data)):
            given = "none were given" if data is None else f"{data} has no split train"
            raise BadInput(
                f"{cls.name} needs real training pictures, and {given}: give a folder DIR with "
                "DIR/train/<class>/<picture> (--data DIR; `python -m dfml data get cifar-fs --out DIR` fetches them)."
            )

    @abstractmethod
    def train(
        self,
        zoo: Zoo,
        *,
        data: str | None = None,
        device: torch.device,
        generator: torch.Generator,
        state: dict[str, Any] | None = None,
    ) -> Iterator[Event]:
        """Train.

        Args:
            zoo: The teachers.
            data: A data set or sample for validation; ``real-data`` trains on it.
            device: Where to compute.
            generator: On the CPU; the same seed gives the same model.
            state: From a ``Checkpoint``, to go on from there.

        Yields:
            Events, at least one a second; early among them who takes part (``TakingPart``), where teachers are asked
            at all, which the model's details keep as ``taking_part``; last ``Done(MetaModel)``.
        """

    def prepare(self, zoo: Zoo, *, device: torch.device, jobs: int = 1) -> Iterator[Event]:
        """Do once, and keep below ``cache_root()``, what every run of this config on this zoo would do first.

        Args:
            zoo: The teachers.
            device: Where to compute.
            jobs: Processes.

        Yields:
            Progress; last ``Done(dict)``: ``kept_seconds``, ``passes`` and ``queries`` that the kept work took,
            this time or an earlier one. Methods without such work cost nothing.
        """
        yield Done({"kept_seconds": 0.0, "passes": 0.0, "queries": 0.0})


METHODS: Registry[Method] = Registry("method")


def zoo_statistics(zoo: Zoo, ids: Collection[str] | None = None) -> tuple[list[float], list[float]]:
    """The normalisation that most teachers (of these ids, where any are given) use: channel means and deviations."""
    channels = zoo.picture_shape[0]
    fitting = [c for c in zoo.cards if c.input_size[0] == channels and (ids is None or c.id in ids)]
    (mean, std), _ = Counter((tuple(c.mean), tuple(c.std)) for c in fitting).most_common(1)[0]
    return list(mean), list(std)


def start_model(zoo: Zoo, config: AdaptConfig, generator: torch.Generator, details: dict[str, Any]) -> MetaModel:
    """A meta-model with fresh weights that takes the zoo's pictures."""
    mean, std = zoo_statistics(zoo)
    learner = make_learner(
        config.learner,
        LearnerConfig(
            inner_lr=config.inner_lr,
            inner_steps=getattr(config, "inner_steps", config.test_steps),
            first_order=getattr(config, "first_order", False),
        ),
    )
    return new_meta_model(
        config.architecture,
        shape=zoo.picture_shape,
        way=config.way,
        mean=mean,
        std=std,
        learner=learner,
        width=config.width,
        seed=int(torch.randint(2**62, (), generator=generator)),
        adapt_steps=config.test_steps,
        details={"zoo": zoo.name, "way": config.way, **details},
    )
