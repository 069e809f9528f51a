"""What the benchmarks can be asked: one frozen config each, made once by its command, whose options are its fields."""

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from dfml.core.config import Config

Item = TypeVar("Item")

Each = Annotated[tuple[Item, ...], AfterValidator(lambda values: tuple(dict.fromkeys(values)))]
"""Each value once, in the order given."""

_as_several = BeforeValidator(lambda value: value if isinstance(value, (tuple, list)) else (value,))
Several = Annotated[Each[Item], _as_several]
"""One or several."""
One = Annotated[tuple[Item], _as_several]
"""One, kept as a tuple where other studies take several."""


class BenchConfig(Config):
    """What all benchmarks are asked."""

    out: Path = Field(Path("benchmarks/results"), description="Folder of the table.")
    command: str = Field("", description="For the report.")


class StudyConfig(BenchConfig):
    """What all studies are asked: on what to test which runs, and where they lie."""

    data: One[str] = Field(description="A class-folder data set with the split, or sample:NAME.")
    preset: str = Field("demo", description="demo or paper.")
    shots: Each[int] = Field((1, 5), description="Support images per class, for instance 1,5.")
    seeds: Each[int] = Field((0,), description="Number of training seeds, from 0.")
    episodes: int = Field(600, ge=1, description="Episodes of a row, the same for all rows.")
    split: str = Field("test", description="test, or val while developing.")
    device: str = Field("auto", description="auto, cpu, cuda or mps.")
    changes: list[str] = Field([], description="An option, in every method that has it, key=value.")
    jobs: int = Field(1, ge=1, description="Runs side by side; timings are then not to be believed.")
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

    data: Several[str] = Field(description="A class-folder data set with the split; may be repeated.")
    name: str = Field("SS", description="SS: one architecture; SH: mixed ones; MH: mixed data sets too; or polluted.")
    zoo: str | None = Field(None, description="A zoo's name or folder, instead of the scenario's own.")
    add: list[str] = Field([], description="MH: a zoo besides the embedded ones.")
    rates: Each[int] = Field((0, 20, 40, 60), description="polluted: per cent of deceptive teachers.")
    attack: str = Field("ood", description="polluted: ood, fake or both; see zoo pollute.")
    source: str | None = Field(None, description="polluted: the zoo of another domain; the embedded one, if left out.")
    clean: int | None = Field(20, ge=1, description="polluted: honest teachers; none keeps them all.")
    methods: Each[str] | None = Field(None, description="Methods, with commas; all, if left out.")
    calibrate: str | None = Field(None, description="icfil: calibrate the models to each episode; slow.")
    update: bool = Field(False, description="Keep the rows of other methods of the table that lies in --out.")


class PollutionConfig(AccuracyConfig):
    """``bench pollution``: deceptive teachers, with and without reliability weights; losses are told against rate 0."""

    data: One[str] = Field(description="A class-folder data set with the split, or sample:NAME.")
    name: str = Field("polluted", description="The scenario.")
    zoo: str | None = Field(None, description="Honest teachers; the embedded zoo, if left out.")
    attack: str = Field("both", description="ood, fake or both; see zoo pollute.")
    shots: One[int] = Field((5,), description="Support images per class of the test.")
    seeds: Each[int] = Field((0, 1, 2), description="Number of seeds, from 0; each has zoos of its own.")
    variants: Each[str] = Field(("even", "weights"), description="Ways of sampling teachers: even,weights,published.")
    work: Path = Field(Path("runs/pollution"), description="Folder of the runs; finished ones are not done again.")


class HeterogeneityConfig(StudyConfig):
    """``bench heterogeneity``: teachers that are alike, and as many that are not."""

    zoo: str = Field("cifar-fs-conv4", description="An embedded zoo's name or a folder.")
    method: str = Field("tgr", description="What trains on each set of teachers.")
    teachers: int = Field(10, ge=2, description="Teachers of a set.")
    sets: Each[str] = Field(("similar", "dissimilar"), description="Sets of teachers: similar,random,dissimilar.")
    seeds: Each[int] = Field((0, 1, 2), description="Number of seeds, from 0: of the first teacher and of training.")
    work: Path = Field(Path("runs/heterogeneity"), description="Folder of the runs; finished ones are not done again.")


class DroProtocolConfig(StudyConfig):
    """``bench accuracy --protocol dro``: the DRO paper's own setting.

    The paper does not say whether all teachers start from the same weights; its average beats fine-tuning, which
    separate starts do not give.
    """

    protocol: str = Field("shared", description="shared, or dro: the DRO paper's own setting.")
    ways: Each[int] = Field((5, 10), description="Classes of a task and of a teacher.")
    models: int = Field(20, ge=2, description="dro: teachers of a zoo; the paper has 100.")
    epochs: int = Field(10, ge=1, description="dro: epochs of a teacher.")
    same_start: bool = Field(True, description="dro: teachers start from the same weights, or from own.")


class SpeedConfig(BenchConfig):
    """``bench speed``."""

    zoo: str = Field("cifar-fs-conv4", description="An embedded zoo's name or a folder.")
    data: str = Field("sample:cifar-fs", description="A data set with a split test, or sample:NAME.")
    episodes: int = Field(600, ge=1, description="5-way 5-shot episodes of the evaluation.")
    device: str = Field("auto", description="auto, cpu, cuda or mps.")


class WaitingConfig(BenchConfig):
    """``bench waiting``."""

    zoo: str = Field("cifar-fs-conv4", description="An embedded zoo's name or a folder.")
    rounds: int = Field(5, ge=1, description="Interleaved rounds.")
    work: Path = Field(Path("runs/bench/waiting"), description="Folder of the measurements; none is done again.")


class InversionConfig(BenchConfig):
    """``bench inversion``."""

    zoo: str = Field("cifar-fs-conv4", description="An embedded zoo's name or a folder.")
    rows: Each[str] | None = Field(None, description="Rows, with semicolons; all, if left out.")
    transformers: str = Field("cifar-fs-vit", description="Zoo of the second table; none leaves it out.")
    together: int = Field(20, ge=0, description="Teachers recovered together in the third table; 0 leaves it out.")
    teachers: int = Field(1, ge=1, description="Teachers, those with a judge first.")
    seeds: Each[int] = Field((0,), description="Number of seeds, from 0.")
    per_class: int = Field(20, ge=1, le=500, description="Images per class.")
    preset: str = Field("demo", description="demo or paper.")
    device: str = Field("auto", description="auto, cpu, cuda or mps.")


class SinusoidConfig(BenchConfig):
    """``bench sinusoid``."""

    tasks: int = Field(500, ge=2, description="Test tasks, the same for all methods; the paper has 100.")
    seed: int = Field(0, ge=0, description="Samples tasks, teachers and points.")
    choose: bool = Field(True, description="Choose what the paper leaves open on own tasks, or take the defaults.")


def key_of(change: str) -> str:
    """The option's name in ``key=value``."""
    return change.split("=")[0].strip()
