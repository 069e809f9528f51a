"""Inversion beside plain loops: pixels, a generator, and FREE's five steps."""

import copy
from collections.abc import Iterator
from typing import Any

import torch

from dfml.bench.plain.five_loop import meta_steps
from dfml.bench.plain.frozen_teacher import FrozenTeacher
from dfml.bench.plain.generator_loop import train_generator
from dfml.bench.plain.pixel_loop import invert_pixels
from dfml.bench.speed.side_by_side import Loop, Result, Run, Sizes
from dfml.core.events import Done, Scalars
from dfml.core.seeds import derive_seed
from dfml.inversion import INVERTERS
from dfml.inversion.batched import draw_seed, labels_per_class
from dfml.inversion.meta_generator import MetaGenerator
from dfml.inversion.pipeline import recover_teachers
from dfml.inversion.recipe import Recipe
from dfml.methods.free import Free
from dfml.nets.generator import ImageGenerator
from dfml.zoo.oracles.base import AutogradOracle, Oracle
from dfml.zoo.zoo import Zoo

CPU = torch.device("cpu")


def _frozen(zoo: Zoo, teacher: str) -> FrozenTeacher:
    card = zoo.card(teacher)
    return FrozenTeacher(copy.deepcopy(zoo.teacher(teacher).net), card.mean, card.std)


def _draws(generator: torch.Generator, teachers: list[str]) -> list[torch.Generator]:
    """What the program draws from for each teacher."""
    base, met = draw_seed(generator), dict.fromkeys(teachers, 0)
    made = []
    for teacher in teachers:
        made.append(torch.Generator().manual_seed(derive_seed(base, teacher, met[teacher])))
        met[teacher] += 1
    return made


def _recovered(recipe: Recipe, teacher: str) -> Result:
    curve = {}
    for event in recover_teachers(recipe, [teacher]):
        if isinstance(event, Scalars):
            curve[event.step] = event.values["inversion/ce"]
        if isinstance(event, Done):
            task = event.result[0].task
    return {"images": task.images, "logits": task.soft_targets, "ce": torch.tensor(list(curve.values()))}


def _shown(result: Result) -> Result:
    """The curve at the steps at which the program shows it."""
    steps = [s for s in range(1, len(result["ce"]) + 1) if len(result["ce"]) <= 10 or s % 10 == 0 or s == 1]
    return {**result, "ce": result["ce"][[s - 1 for s in steps]]}


def _inversion(zoo: Zoo, sizes: Sizes, name: str) -> tuple[Recipe, str, dict[str, Any]]:
    inverter = INVERTERS.get(name)
    config = inverter.preset("demo").override({"steps": sizes["steps"], "together": "never"})
    names = ("steps", "lr", "bn", "tv", "l2", "shift", "flip") if name == "pixels" else _ADAPTING
    told = {key: getattr(config, key) for key in names}
    return Recipe(zoo, inverter(config), per_class=sizes["per_class"]), zoo.ids[0], told


_ADAPTING = ("steps", "lr", "noise_lr", "bn", "shift", "flip")


def pixels(zoo: Zoo, sizes: Sizes) -> tuple[Run, Run]:
    """Pixel inversion of one teacher."""
    recipe, teacher, told = _inversion(zoo, sizes, "pixels")
    frozen, card = _frozen(zoo, teacher), zoo.card(teacher)

    def plain() -> Result:
        (generator,) = _draws(recipe.generator("invert"), [teacher])
        labels = labels_per_class(card.way, recipe.per_class)
        return _shown(invert_pixels(frozen, labels, card.input_size, generator, **told))

    return lambda: _recovered(recipe, teacher), plain


def generator(zoo: Zoo, sizes: Sizes) -> tuple[Run, Run]:
    """Generator inversion of one teacher."""
    recipe, teacher, told = _inversion(zoo, sizes, "generator")
    frozen, card, config = _frozen(zoo, teacher), zoo.card(teacher), recipe.inverter.config

    def plain() -> Result:
        (drawn,) = _draws(recipe.generator("invert"), [teacher])
        net = ImageGenerator(card.input_size, latent=config.latent, width=config.width, seed=draw_seed(drawn))
        labels = labels_per_class(card.way, recipe.per_class)
        noise = torch.randn(len(labels), config.latent, generator=drawn)
        return _shown(train_generator(net, noise, frozen, labels, drawn, **told))

    return lambda: _recovered(recipe, teacher), plain


def five(zoo: Zoo, sizes: Sizes) -> tuple[Run, Run]:
    """Meta-steps of FREE's generator on a few teachers."""
    config = Free(Free.preset("demo")).inverter_config()
    config = config.override({"per_class": sizes["per_class"], "together": "never"})
    learned, teachers = MetaGenerator(config), zoo.ids[: config.teachers]
    start, _ = learned.prepare(zoo.card(teachers[0]).input_size, 0, CPU)
    net = copy.deepcopy(start)
    oracles: list[Oracle] = [AutogradOracle(zoo.teacher(t)) for t in teachers]
    labels = labels_per_class(oracles[0].way, config.per_class)
    frozen = [_frozen(zoo, t) for t in teachers]

    def steps() -> Iterator[Result]:
        drawn = torch.Generator().manual_seed(0)
        for _ in range(sizes["meta_steps"]):
            for found in learned.meta_stepping(oracles, [labels] * len(oracles), generator=drawn, device=CPU):
                if found is not None:
                    answers = torch.stack([task.soft_targets for task in found.tasks])
                    yield {"images": torch.stack([task.images for task in found.tasks]), "logits": answers}

    def plain() -> Result:
        drawn, draws = torch.Generator().manual_seed(0), []
        for _ in range(sizes["meta_steps"]):
            draws.append(_draws(drawn, teachers))
            draw_seed(drawn)  # for a net that is there already
        told = {key: getattr(config, key) for key in _ADAPTING}
        found = meta_steps(net, frozen, labels, draws, meta_lr=config.meta_lr, latent=config.latent, **told)
        return {name: found[name] for name in ("images", "logits")}

    return lambda: list(steps())[-1], plain


LOOPS = [
    Loop(
        "pixels", "pixel inversion, {per_class} images a class, {steps} steps", {"per_class": 20, "steps": 200},
        {"per_class": 4, "steps": 6}, pixels,
    ),
    Loop(
        "generator", "generator inversion, {per_class} images a class, {steps} steps", {"per_class": 20, "steps": 200},
        {"per_class": 4, "steps": 6}, generator,
    ),
    Loop(
        "five", "FREE's five steps, 4 teachers, {per_class} images a class, {meta_steps} times",
        {"per_class": 20, "meta_steps": 4}, {"per_class": 1, "meta_steps": 2}, five,
    ),
]  # fmt: skip
