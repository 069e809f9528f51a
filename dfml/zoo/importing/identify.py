"""Deciding which network a draft is: stated, found by its tensors without a doubt, or refused with the nearest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dfml.core.errors import BadInput
from dfml.core.known_networks import check_network_name, timm_networks, torchvision_networks
from dfml.zoo.importing.drafts import Draft
from dfml.zoo.importing.stating import Stated, Unsaid

if TYPE_CHECKING:
    from dfml.zoo.importing.fitting import Fit

NEAREST, ALIKE = 3, 0.01
"""Of those that do not fit: how many are named, and which share of the tensors they have at least in common."""


def candidates(draft: Draft, stated: Stated) -> list[str]:
    """The architectures that a person or the source names, none where both are silent.

    ``BadInput``: there is none of that name, with the nearest names; or the two contradict each other.
    """
    if stated.arch:
        check_network_name(stated.arch)
        if draft.kept and stated.arch != draft.architectures[0]:
            raise BadInput(
                f"its config states the architecture {draft.architectures[0]!r:.100}, not the {stated.arch} of --arch: "
                "leave --arch out"
            )
        return [stated.arch]
    if not draft.architectures:
        return []
    (name,) = draft.architectures
    if draft.kept:
        check_network_name(name)
        return [name]
    # A training script may mean timm's network of this name or torchvision's.
    plain = name.partition(".")[0]
    both = [plain] if plain in timm_networks() else []
    both += [other] if (other := f"torchvision_{plain}") in torchvision_networks() else []
    if not both:
        check_network_name(name)
    return both or [name]


def identify(
    draft: Draft, stated: Stated, shapes: Mapping[str, list[int]], size: list[int] | None
) -> tuple[list[Fit], str]:
    """The architectures that fit exactly, the first being preferred, and a line that says how they were found.

    ``size`` is channels (where known), height and width. ``BadInput``: none fits; the line has the nearest, and how
    well they do; ``Unsaid`` where nobody named one.
    """
    from dfml.zoo.importing.fitting import choose

    named = candidates(draft, stated)
    told: dict[str, Any] = dict(draft.args)
    if stated.num_classes is not None:
        told.setdefault("num_classes", stated.num_classes)
        if told["num_classes"] != stated.num_classes:
            raise BadInput(f"it has {told['num_classes']} classes, not the {stated.num_classes} of --num-classes")
    sides = size[-2:] if size else None
    if size and len(size) == 3:
        told.setdefault("in_chans", size[0])
    if named:
        exact, near = choose(named, shapes, told, sides)
        if exact:
            return exact, ""
        if draft.kept or stated.arch:
            from dfml.zoo.importing.fitting import fit_of

            wrong = near[0] if near else fit_of(named[0], shapes, told, sides)
            raise BadInput(
                f"{named[0]} fits {wrong.fit:.0%} of its tensors: {wrong.difference}{_others(shapes, told, sides)}"
            )
    exact, near = _alike(shapes, told, sides)
    if not exact:
        raise Unsaid(
            f"no network fits it exactly; the nearest are {_said(near)}{_why(near)}: give --arch, or export it to ONNX",
            {
                "arch": {
                    fit.architecture: f"{fit.fit:.0%} of the tensors fit" for fit in near[:NEAREST] if fit.fit >= ALIKE
                }
            },
        )
    exact.sort(key=lambda fit: (fit.architecture.startswith("torchvision_"), len(fit.architecture), fit.architecture))
    return exact, f"taken for {exact[0].architecture}, which all its tensors fit"


def _alike(
    shapes: Mapping[str, list[int]], told: Mapping[str, Any], sides: list[int] | None
) -> tuple[list[Fit], list[Fit]]:
    """Of all known networks those that fit exactly, and others that are near."""
    from dfml.zoo.importing.fitting import choose
    from dfml.zoo.importing.likeness import shortlist

    same, others = shortlist(shapes)
    exact, near = choose(same, shapes, told, sides)
    if not exact:
        exact, more = choose(others, shapes, told, sides)
        near = sorted([*near, *more], key=lambda fit: -fit.fit)
    return exact, near


def _others(shapes: Mapping[str, list[int]], told: dict[str, Any], sides: list[int] | None) -> str:
    exact, near = _alike(shapes, {k: v for k, v in told.items() if k == "in_chans"}, sides)
    return f"; the nearest are {_said([*exact, *near])}" if exact or near else ""


def _said(fits: list[Fit]) -> str:
    shown = [f"{fit.architecture} ({'fits' if fit.exact else f'{fit.fit:.0%}'})" for fit in fits[:NEAREST]]
    return ", ".join(shown) or "not known"


def _why(fits: list[Fit]) -> str:
    return f" ({fits[0].architecture}: {fits[0].difference})" if fits else ""


def settle(exact: list[Fit], weights: Mapping[str, Any], shape: tuple[int, int, int]) -> Fit:
    """Choose among networks that the tensors fit equally: the first, where all answer alike with these weights.

    ``Unsaid``: they do not, so a person has to say which it is.
    """
    from dfml.zoo.importing.fitting import MOST_COMPARED, compute_the_same

    if len(exact) > 1:
        if len(exact) > MOST_COMPARED or not compute_the_same(exact, weights, shape):
            more = f" and {len(exact) - NEAREST} more" if len(exact) > NEAREST else ""
            raise Unsaid(
                f"its tensors fit {_said(exact)}{more} equally, and these compute other answers: choose with --arch",
                {"arch": {fit.architecture: "all tensors fit" for fit in exact}},
            )
    return exact[0]
