"""What recoveries follow from: made once, opened again by processes that share the work, and named in kept files."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dfml.cluster import node
from dfml.core.config import Config
from dfml.core.errors import BadInput
from dfml.core.paths import cache_root
from dfml.core.seeds import derive_seed
from dfml.inversion.base import INVERTERS, ExtraLoss, Inverter
from dfml.nets.checkpoint import load_checkpoint, save_checkpoint
from dfml.nets.device import use_threads
from dfml.zoo import open_zoo
from dfml.zoo.oracles.base import Oracle
from dfml.zoo.oracles.choose import AskingConfig, make_oracle
from dfml.zoo.teacher import HeldTeachers
from dfml.zoo.zoo import Narrowing, Zoo


@dataclass(frozen=True)
class WarmUp:
    """What an inverter's warm-up was and what it cost.

    Attributes:
        steps: Meta-steps; 0 where nothing is learned.
        seconds: Wall clock, also where it was done at another time.
        met_the_asked: Whether the asked teachers took part, so that they are no longer unseen.
        kept: Whether it was taken from the cache.
        queries: Images that those teachers looked at this time; 0 where it was kept.
    """

    steps: int
    seconds: float
    teachers: int
    met_the_asked: bool
    kept: bool
    queries: int = 0


@dataclass(frozen=True)
class Recipe:
    """What recoveries follow from.

    Attributes:
        inverter: Warmed up where it wants to be.
        per_class: Images per class, 1 .. 500, else ``BadInput``.
        device: Where to compute, or its name.
        asking: How teachers are asked.
        warmed: What the inverter's warm-up was.
    """

    zoo: Zoo
    inverter: Inverter
    per_class: int = 20
    seed: int = 0
    device: torch.device = torch.device("cpu")
    asking: AskingConfig = AskingConfig()
    warmed: WarmUp | None = None
    extra_loss: ExtraLoss | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.per_class <= 500:
            raise BadInput(f"images per class must be between 1 and 500, received {self.per_class}.")
        object.__setattr__(self, "device", torch.device(self.device))

    def generator(self, *purpose: str | int) -> torch.Generator:
        """A generator on the CPU for one part of the work."""
        return torch.Generator().manual_seed(derive_seed(self.seed, *purpose))

    def oracle(self, teacher: str, *visit: int, held: HeldTeachers | None = None) -> Oracle:
        """A teacher's oracle; that of a black box draws its directions from the teacher's own seed, or the visit's.

        See ``make_oracle`` for ``held``.
        """
        directions = self.generator("directions", teacher, *visit)
        return make_oracle(self.zoo, teacher, self.asking, generator=directions, device=self.device, held=held)

    def facts(self, form: int) -> dict[str, Any]:
        """What the name of a kept file says of the recipe; ``form`` is the number of the file's format."""
        return {
            "format": form,
            "torch": torch.__version__,
            "device": self.device.type,
            "inverter": self.inverter.name,
            "config": self.inverter.config.model_dump(mode="json"),
            "asking": self.asking.model_dump(mode="json"),
            "zoo": self.zoo.address,
            "seed": self.seed,
        }

    def facts_of(self, teacher: str) -> list[str]:
        """What it says of a teacher: its card, and the digest of its weights."""
        card, narrowing = self.zoo.card(teacher), self.zoo.narrowing
        told = [card.model_dump_json(), self.zoo.weights_mark(card)]
        if narrowing and (slots := narrowing.slots.get(card.id)):
            told.append(f"classes {list(slots)}")
        return [*told, f"size {narrowing.size}"] if narrowing and narrowing.size else told

    def for_workers(self) -> WorkerArgs:
        """The recipe as it is sent to processes; what the inverter has learned goes along, the extra loss does not."""
        return WorkerArgs(
            source=self.zoo.source,
            narrowing=self.zoo.narrowing,
            inverter=self.inverter.name,
            config=self.inverter.config,
            learned=self.inverter.state(),
            cache=cache_root(),
            token=secrets.token_hex(8),
            options={n: getattr(self, n) for n in ("per_class", "seed", "device", "asking", "warmed")},
        )


@dataclass(frozen=True)
class WorkerArgs:
    """A recipe on its way to a process; see ``Recipe.for_workers``. Its ``token`` tells this work from any other."""

    source: str
    narrowing: Narrowing | None
    inverter: str
    config: Config
    learned: dict[str, Any]
    cache: Path
    token: str
    options: dict[str, Any]

    def open(self) -> Recipe:
        """The recipe, in a process that from now on computes with one thread."""
        use_threads(1)
        if not node.is_node():
            os.environ["DFML_CACHE"] = str(self.cache)  # processes are used again, and may be older than the setting
        inverter = INVERTERS.get(self.inverter)(self.config)
        inverter.load(self.learned)
        if self.token not in _opened:
            _opened.clear()
            zoo = open_zoo(self.source)
            _opened[self.token] = zoo.narrowed(self.narrowing) if self.narrowing else zoo
        return Recipe(_opened[self.token], inverter, **self.options)


_opened: dict[str, Zoo] = {}
"""The zoo of the work that this process does pieces of, by its token: the cards of all teachers are read once."""


def kept_path(room: str, name: str, facts: Any) -> Path:  # noqa: ANN401 - JSON values
    """The file below ``cache_root()`` of work done before: ``name``, and a digest of the facts that it follows from."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
    return cache_root() / room / f"{name}{digest}.safetensors"


def read_kept(path: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """State and facts about it as ``write_kept`` got them; None where there is nothing, or it is damaged."""
    try:
        return load_checkpoint(path) if path.is_file() else None
    except BadInput:
        return None  # it is only a cache


def write_kept(path: Path, state: dict[str, Any], about: dict[str, Any]) -> None:
    """Keep a piece of work; see ``save_checkpoint``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, state, about)
