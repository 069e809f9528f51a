"""The zoos on which methods are compared: one architecture, mixed ones, mixed domains, polluted ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from dfml.bench.job import Say
from dfml.bench.study_config import AccuracyConfig
from dfml.core.errors import BadInput, nearest
from dfml.core.texts import is_address, without_password
from dfml.zoo import open_zoo
from dfml.zoo.build.collect import merge_zoos
from dfml.zoo.build.pollute import OTHER_DOMAIN, PollutionConfig, given_away, pollute_zoo, pollution_truth, truth_file
from dfml.zoo.listing import zoo_names
from dfml.zoo.zoo import Zoo

MIXED, MIXED_ZOO = "MH", "mixed-domains"
EMBEDDED = {"SS": "cifar-fs-conv4", "SH": "cifar-fs-mixed", "polluted": "cifar-fs-conv4"}
DOMAINS = {"cifar-fs": ("cifar-fs-mixed", "cifar-fs-conv4"), "omniglot": ("omniglot-conv4",), "mini-imagenet": ()}
"""The data sets of MH, and which embedded zoo of each is taken: the first that there is."""


@dataclass(frozen=True)
class Scenario:
    """The zoos of a comparison: of each rate of pollution (None: not polluted) and seed.

    ``notes`` are what a reader must know of them; ``remarks`` what the rates of this call alone bring about.
    """

    title: str
    zoos: dict[tuple[int | None, int], str]
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def set_up(config: AccuracyConfig, progress: Say = lambda line: None) -> Scenario:
    """Find or make the zoos of a scenario; a polluted one is one seed's own, and lies in ``zoos`` of ``work``.

    Raise BadInput where there is no such scenario, its zoo is missing, or its address holds a password.
    """
    makers = {"SS": _single, "SH": _single, MIXED: _mixed_domains, "polluted": _polluted}
    title_of(config)
    if config.zoo and is_address(config.zoo):
        without_password(config.zoo)  # the report names command and zoo
    if config.add and config.name != MIXED:
        raise BadInput("--add-zoo is for --scenario MH: another scenario has one zoo, see --zoo.")
    return makers[config.name](config, progress)


def title_of(config: AccuracyConfig) -> str:
    """What a scenario is called in names of reports, known before its zoos are made; BadInput: there is no such one."""
    known = ["SS", "SH", MIXED, "polluted"]
    if config.name not in known:
        raise BadInput(f"unknown scenario {config.name!r}.{nearest(config.name, known)} Known: {', '.join(known)}.")
    if config.name == MIXED and not config.zoo:
        return MIXED_ZOO
    return ("polluted-" if config.name == "polluted" else "") + Path(config.zoo or zoo_of(config)).name


def zoo_of(config: AccuracyConfig) -> str:
    """The zoo that was given, or the scenario's own."""
    name = config.zoo or EMBEDDED[config.name]
    if not config.zoo and name not in zoo_names():
        raise BadInput(f"scenario {config.name} needs the embedded zoo {name}, which is not here: give one with --zoo.")
    return name


def _single(config: AccuracyConfig, progress: Say) -> Scenario:
    name = zoo_of(config)
    zoo = open_zoo(name)
    notes = [] if config.name == "SS" else [f"Scenario SH: {_families(zoo)}."]
    return Scenario(title_of(config), {(None, seed): name for seed in config.seeds}, notes)


def _mixed_domains(config: AccuracyConfig, progress: Say) -> Scenario:
    if config.zoo and config.add:
        raise BadInput("--add-zoo adds to the embedded zoos; --zoo is the whole zoo: give one of the two.")
    if config.zoo:
        parts = [open_zoo(config.zoo)]
        zoo, name = parts[0], config.zoo
    else:
        chosen = [next((n for n in names if n in zoo_names()), None) for names in DOMAINS.values()]
        parts = [open_zoo(part) for part in [*filter(None, chosen), *config.add]]
        name = str(config.work / "zoos" / f"{MIXED_ZOO}-{key_of_teachers(parts)}")
        if not (Path(name) / "zoo.json").is_file():
            progress(f"merging {', '.join(part.name for part in parts)}")
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            merge_zoos(parts, Path(name), name=MIXED_ZOO)
        zoo = open_zoo(name)
    present = {card.domain or part.domain for part in parts for card in part.cards}
    notes = [f"Scenario MH: {_families(zoo)}, of {', '.join(sorted(map(str, present)))}."]
    for domain in DOMAINS:
        if domain not in present:
            how = f"give a zoo of it with {'--zoo' if config.zoo else '--add-zoo'}"
            notes.append(f"Incomplete MH: no teacher of {domain} is in the zoo ({how}).")
        elif not any(_is_of(domain, source) for source in config.data):
            notes.append(f"Incomplete MH: not tested on {domain}, for no --data is of that name.")
    return Scenario(title_of(config), {(None, seed): name for seed in config.seeds}, notes)


def _is_of(domain: str, source: str) -> bool:
    plain = Path(source.removeprefix("sample:")).name.lower().replace("_", "-").replace("miniimagenet", "mini-imagenet")
    return domain in plain


def key_of_teachers(zoos: list[Zoo]) -> str:
    """A name for the teachers of some zoos, so that what was made of others of the same name is not taken for it."""
    facts = [(zoo.name, [(card.id, card.sha256) for card in zoo.cards]) for zoo in zoos]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:8]


def _polluted(config: AccuracyConfig, progress: Say) -> Scenario:
    name = zoo_of(config)
    clean = open_zoo(name)
    zoos: dict[tuple[int | None, int], str] = {}
    wanted = [
        PollutionConfig.parse({"rate": r / 100, "attack": config.attack, "keep": config.clean}) for r in config.rates
    ]
    source = None if config.attack == "fake" else open_zoo(config.source or OTHER_DOMAIN)
    turned = []
    for rate, how in zip(config.rates, wanted, strict=True):
        key = key_of_teachers([clean, source] if source and rate else [clean])
        for seed in config.seeds:
            made = f"{Path(name).name}-{config.attack}-{rate:02d}-of-{config.clean or 'all'}-seed{seed}-{key}"
            out = config.work / "zoos" / made
            if not (out / "zoo.json").is_file() or not truth_file(out).is_file():
                progress(f"polluting {clean.name} at {rate} %, seed {seed}")
                out.parent.mkdir(parents=True, exist_ok=True)
                pollute_zoo(clean, out, how.override({"seed": seed}), source)
            zoos[rate, seed] = str(out)
        if source and any(_looks_otherwise(zoos[rate, seed]) for seed in config.seeds):
            turned.append(f"{rate} %")
    strange = f"teachers of {source.name} under false class names" if source else ""
    liars = {"ood": strange, "fake": "untrained teachers", "both": f"{strange} and untrained teachers"}[config.attack]
    count = len(clean) if config.clean is None else config.clean
    note = (
        f"polluted: per cent of the zoo that deceives ({liars}, all with false accuracies), besides "
        f"{count} honest teachers; each seed has a zoo of its own."
    )
    shows = given_away(clean, source) if any(config.rates) else None
    took = (
        f"At {', '.join(turned)} most teachers deceive about their domain, so that meta-models take images in their "
        "normalisation, not in that of the clean zoo."
    )
    notes = [note, *filter(None, [shows])]
    return Scenario(title_of(config), zoos, notes, [took] if turned else [])


def _looks_otherwise(folder: str) -> bool:
    """Whether the meta-model takes images otherwise than it would if only the honest were there."""
    from dfml.training.new_model import zoo_statistics

    zoo, truth = open_zoo(folder), pollution_truth(folder)
    return zoo_statistics(zoo) != zoo_statistics(zoo, [i for i, kind in truth.items() if kind == "clean"])


def _families(zoo: Zoo) -> str:
    families = [card.family for card in zoo.cards]
    return f"{len(zoo)} teachers (" + ", ".join(f"{families.count(f)} {f}" for f in dict.fromkeys(families)) + ")"
