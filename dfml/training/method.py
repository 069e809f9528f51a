"""The contract of a method, and the registry of methods."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from dfml.cluster.fan_out import Jobs
from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.events import Done, Event
from dfml.core.registry import Registered, Registry
from dfml.core.remedies import PROGRAM
from dfml.training.first_weights import check_fits
from dfml.training.options import mostly_panel

if TYPE_CHECKING:
    import torch

    from dfml.training.context import Training
    from dfml.zoo.zoo import Zoo


class Method(Registered):
    """A way from a zoo to a meta-model.

    Attributes:
        title: Name for people.
        summary: One sentence on the idea.
        reference: Authors, title, venue, year.
        data_free: False only for references that see real training images.
        long: Whether it has steps to be watched, kept and gone on from.
        space: Where it works: on images (``data``), or on weights alone, if on anything (``parameter``).
        role: A published method, a baseline, or a reference that is no data-free meta-model of one network.
        minutes: What the demo's training takes on two CPU cores; 0: seconds.
        one_model: False only for references that need the whole zoo at test.
        one_architecture: Whether all teachers must be networks of one architecture.
        asks_teachers: False only for what looks at no teacher.
        inverter: Name of the inverter that recovers its images; empty where there is none.
        variants: Further forms that its paper has, each a row of its own beside the method's: the changes that make it.
    """

    title: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str]
    data_free: ClassVar[bool] = True
    long: ClassVar[bool] = False
    space: ClassVar[Literal["data", "parameter"]] = "data"
    role: ClassVar[Literal["method", "baseline", "reference"]] = "method"
    minutes: ClassVar[int] = 0
    one_model: ClassVar[bool] = True
    one_architecture: ClassVar[bool] = False
    asks_teachers: ClassVar[bool] = True
    inverter: ClassVar[str] = ""
    variants: ClassVar[dict[str, list[str]]] = {}

    @classmethod
    def mostly(cls, options: Mapping[str, Any]) -> str:
        """What most of the learning of a config is, by its values, where that is not the method's own; else empty."""
        return mostly_panel(options)

    @classmethod
    def called(cls, options: Mapping[str, Any]) -> str:
        """The name that tables give to a run of a config: with what it mostly is, see ``mostly``."""
        return f"{cls.name} ({other})" if (other := cls.mostly(options)) else cls.name

    @classmethod
    def check_data(cls, data: str | None) -> None:
        """See that real images are there where some are named, or the method needs them, before a run is queued.

        Raises:
            BadInput: There is no such data set, or training images are needed, and ``data`` (see ``Training``) has no
                split ``train``.
        """
        from dfml.data.splits import check_source, list_splits

        if cls.data_free:
            if data is not None:
                check_source(data)
            return
        if data is None or data.startswith("sample:") or "train" not in list_splits(Path(data)):
            given = "none were given" if data is None else f"{data} has no split train"
            raise BadInput(
                f"{cls.name} needs real training images, and {given}: give a folder DIR with "
                f"DIR/train/<class>/<image> (--data DIR; `{PROGRAM} data get cifar-fs --out DIR` fetches them)."
            )

    @classmethod
    def check_zoo(cls, zoo: Zoo, config: Config) -> None:
        """See that a training of this config can be done with such teachers, by their cards, before a run is queued.

        What only their weights tell is refused by ``train``.

        Raises:
            BadInput: No teacher fits, or options contradict each other.
        """

    @classmethod
    def check_start(cls, start: Path, config: Config, shape: tuple[int, int, int]) -> None:
        """See that a training can begin with the weights of a meta-model, before a run is queued.

        ``start`` is its folder, ``shape`` channels, height and width of the zoo's images.

        Raises:
            BadInput: The method does not train on images, or the model is not one that it would make.
        """
        if not cls.long or cls.space != "data":
            raise BadInput(f"{cls.name} does not train on images, so it cannot start from other weights.")
        check_fits(start, config, shape)

    @abstractmethod
    def train(self, training: Training) -> Iterator[Event]:
        """Train with what is given.

        Yields:
            Events, at least one a second; early among them who takes part (``TakingPart``), where teachers are asked
            at all, which the model's details keep as ``taking_part``; last ``Done(MetaModel)``.
        """

    def inversions(self, teachers: int) -> tuple[int, int]:
        """How often a run recovers images from a teacher by itself, at least and at most, with so many teachers.

        Images that are learned step by step beside the model are none of these. What is kept is not done again.
        """
        return 0, 0

    def prepare(self, zoo: Zoo, *, device: torch.device, jobs: Jobs = 1) -> Iterator[Event]:
        """Do once, in ``jobs`` processes, what every run of this config would do first; keep it below ``cache_root()``.

        Yields:
            Progress; last ``Done(dict)``: ``kept_seconds``, ``passes`` and ``queries`` that the kept work took,
            this time or an earlier one. Methods without such work cost nothing.
        """
        yield Done({"kept_seconds": 0.0, "passes": 0.0, "queries": 0.0})


METHODS: Registry[Method] = Registry("method")
