"""What benchmarks can be asked: a frozen config each, made once by its command; here are those that several take.

A function ``bench_NAME`` below ``dfml/bench`` is the command ``bench NAME``, if its ``config`` has ``options``; the
first line of its docstring is the help. It also takes ``progress``, and returns a row with the path of its ``report``.
"""

from pathlib import Path
from typing import Annotated, ClassVar, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from dfml.core.config import Config
from dfml.meta.choices import CHOICE_EPISODES

Item = TypeVar("Item")

Each = Annotated[tuple[Item, ...], AfterValidator(lambda values: tuple(dict.fromkeys(values)))]
"""Each value once, in the order given."""

_as_several = BeforeValidator(lambda value: value if isinstance(value, (tuple, list)) else (value,))
Several = Annotated[Each[Item], _as_several]
"""One or several."""
One = Annotated[tuple[Item], _as_several]
"""One, kept as a tuple where other studies take several."""


class BenchConfig(Config):
    """What all benchmarks are asked; ``options`` are the command's: names of fields, in order, with blanks between."""

    options: ClassVar[str] = ""
    out: Path = Field(Path("benchmarks/results"), description="Folder of the table.")
    command: str = Field("", description="For the report.")


class StudyConfig(BenchConfig):
    """What all studies are asked: on what to test which runs, and where they lie."""

    data: One[str] = Field(description="A class-folder data set with the split, or sample:NAME.")
    preset: str = Field("demo", description="demo, published or paper.")
    shots: Each[int] = Field((1, 5), description="Support images per class, for instance 1,5.")
    seeds: Each[int] = Field((0,), description="Number of training seeds, from 0.")
    episodes: int = Field(600, ge=1, description="Episodes of a row, the same for all rows.")
    split: str = Field("test", description="test, or val while developing.")
    device: str = Field("auto", description="auto, cpu, cuda or mps.")
    changes: list[str] = Field([], description="An option, in every method that has it, key=value.")
    jobs: int = Field(1, ge=1, description="Runs side by side; timings are then not to be believed.")
    cluster: str = Field("", description="A cluster that does the runs, tcp://HOST:PORT; $DFML_CLUSTER, if left out.")
    work: Path = Field(Path("runs/bench"), description="Folder of the runs; finished ones are not done again.")

    @property
    def tested(self) -> list[str]:
        """The names of the data sets."""
        return [Path(source).name for source in self.data]

    @property
    def changed(self) -> set[str]:
        """The options that are changed."""
        return {key_of(change) for change in self.changes}


class AccuracyConfig(StudyConfig):
    """``bench accuracy``: methods under one protocol."""

    options = (
        "data scenario zoo methods preset shots seeds episodes choice_episodes split device set_ calibrate jobs "
        "cluster add_zoo rates attack clean source own_recoveries protocol models epochs same_start work out update"
    )
    data: Several[str] = Field(description="A class-folder data set with the split; may be repeated.")
    name: str = Field("SS", description="SS: one architecture; SH: mixed ones; MH: mixed data sets too; or polluted.")
    zoo: str | None = Field(None, description="A zoo's name or folder, instead of the scenario's own.")
    add: list[str] = Field([], description="MH: a zoo besides the embedded ones.")
    rates: Each[int] = Field((0, 20, 40, 60), description="polluted: per cent of deceptive teachers.")
    attack: str = Field("ood", description="polluted: ood, fake or both; see zoo pollute.")
    source: str | None = Field(None, description="polluted: the zoo of another domain; the embedded one, if left out.")
    clean: int | None = Field(20, ge=1, description="polluted: honest teachers.")
    methods: Each[str] | None = Field(None, description="Methods, with commas; all, if left out.")
    choice_episodes: int = Field(
        CHOICE_EPISODES,
        ge=0,
        le=2000,
        description="Episodes of validation classes on which each model's rate and steps are chosen; 0: none.",
    )
    own_recoveries: bool = Field(
        False, description="Each seed has kept recoveries of its own (recovery_seed), so that intervals include them."
    )
    calibrate: str | None = Field(None, description="icfil: calibrate the models to each episode; slow.")
    update: bool = Field(False, description="Keep the rows of other methods of the table that lies in --out.")


class DroProtocolConfig(StudyConfig):
    """``bench accuracy --protocol dro``: the DRO paper's own setting.

    The paper does not say whether all teachers start from the same weights; its average beats fine-tuning, which
    separate starts do not give.
    """

    protocol: str = Field("shared", description="shared, or dro: the DRO paper's own setting.")
    ways: Each[int] = Field((5, 10), description="Classes of a task and of a teacher.")
    models: int = Field(100, ge=2, description="dro: teachers of a zoo.")
    epochs: int = Field(10, ge=1, description="dro: epochs of a teacher.")
    same_start: bool = Field(True, description="dro: teachers start from the same weights, or from own.")


def key_of(change: str) -> str:
    """The option's name in ``key=value``."""
    return change.split("=")[0].strip()
