"""A teacher in an ONNX file: it is only asked, since ONNX Runtime gives no gradients.

An ONNX file is a graph of known operators and runs no foreign code. It may name further files for its weights; those
that do are refused, since such a name can lead anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dfml.core.errors import BadInput, RunFailed
from dfml.core.model_config import LARGEST_INPUT, read_config
from dfml.core.remedies import install
from dfml.core.texts import printable
from dfml.zoo.listing import MOST_CLASSES, ONNX_FILE, TeacherCard
from dfml.zoo.oracles.asking import Outputs

if TYPE_CHECKING:
    import torch

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
NUMBERS_AT_ONCE = 2**18
"""Input values that a model is given in one batch."""


def open_session(path: Path, threads: int = 1) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """Open an ONNX file for ONNX Runtime on the CPU.

    ``BadInput``: the libraries are missing, it is damaged, keeps weights in other files, or is no classifier of images.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError:
        raise BadInput(f"an ONNX teacher needs ONNX Runtime: {install('onnx')}.") from None
    try:
        graph = onnx.load(path, load_external_data=False).graph
        outside = [t.name for t in _tensors(graph) if t.data_location == onnx.TensorProto.EXTERNAL]
    except Exception as error:  # noqa: BLE001 - a foreign parser fed with foreign bytes
        raise BadInput(f"{path.name} is no ONNX file, or damaged ({printable(str(error), 80)})") from None
    if outside:
        raise BadInput(
            f"{path.name} keeps {len(outside)} tensors in other files, which are not opened: export it as one file "
            "(external_data=False)"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - see above
        raise BadInput(f"{path.name} cannot be run ({printable(str(error), 120)})") from None
    takes, gives = session.get_inputs(), session.get_outputs()
    described = [f"{tensor.type} {tensor.shape}" for tensor in [*takes, *gives]]
    wanted = len(takes) == len(gives) == 1 and takes[0].type in TYPES and gives[0].type in TYPES
    if not wanted or len(takes[0].shape) != 4 or len(gives[0].shape) != 2:
        raise BadInput(
            f"{path.name} is no classifier of images: expected an input [N, C, H, W] and an output [N, way] of floats, "
            f"it has {printable(', '.join(described), 120)}"
        )
    return session


def _tensors(graph: Any) -> Iterator[Any]:  # noqa: ANN401
    """Every tensor that a graph and the graphs inside it keep."""
    yield from graph.initializer
    for kept in graph.sparse_initializer:
        yield from (kept.values, kept.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _tensors(inner)


def describe(path: Path, told: list[int] | None) -> dict[str, Any]:
    """What a model takes and answers, after asking it about two images where their shape is known.

    Args:
        path: The ONNX file.
        told: What a person says of its input: height and width, or channels too.

    Returns:
        ``shape`` (channels, height, width; None where the file leaves it open and nobody said it), ``way`` (or None),
        ``answers`` (``logits`` or ``probabilities``: what sums to one).
    """
    session = open_session(path)
    takes, gives = session.get_inputs()[0], session.get_outputs()[0]
    shape: list[int | None] = [side if type(side) is int and side > 0 else None for side in takes.shape[1:]]
    wanted = [None] * (3 - len(told or ())) + list(told or ())
    for place, (side, given) in enumerate(zip(shape, wanted, strict=True)):
        if side is not None and given is not None and side != given:
            raise BadInput(f"its input is {shape} (channels, height, width), not the {told} of --size")
        shape[place] = given if side is None else side
    found: dict[str, Any] = {"shape": shape, "way": gives.shape[1] if type(gives.shape[1]) is int else None}
    sides = [side for side in shape if side is not None]
    if len(sides) < 3:
        return found
    if sides[0] not in (1, 3) or max(sides[1:]) > LARGEST_INPUT:
        raise BadInput(f"its input is {shape}: expected 1 or 3 channels and at most {LARGEST_INPUT} pixels a side")
    scores = answer(session, np.random.default_rng(0).normal(size=(2, *sides)).astype(np.float32))
    if not 2 <= scores.shape[1] <= MOST_CLASSES:
        raise BadInput(f"it answers {scores.shape[1]} numbers about an image: expected 2 to {MOST_CLASSES:,}")
    sums = np.abs(scores.sum(1) - 1).max() < 1e-3 and scores.min() >= 0
    return {**found, "way": scores.shape[1], "answers": "probabilities" if sums else "logits"}


def answer(session: Any, x: np.ndarray) -> np.ndarray:  # noqa: ANN401
    """Scores, float32 [N, way], of prepared images x [N, C, H, W]; a model of a fixed batch is asked in such parts.

    ``BadInput``: it fails, or answers nonsense.
    """
    takes, gives = session.get_inputs()[0], session.get_outputs()[0]
    fixed = takes.shape[0] if type(takes.shape[0]) is int and takes.shape[0] > 0 else None
    at_once = fixed or max(1, NUMBERS_AT_ONCE // math.prod(x.shape[1:]))
    parts = []
    for start in range(0, len(x), at_once):
        part = x[start : start + at_once].astype(TYPES[takes.type])
        real = len(part)
        if fixed and real < fixed:
            part = np.concatenate([part, np.repeat(part[-1:], fixed - real, axis=0)])
        try:
            scores = session.run([gives.name], {takes.name: part})[0]
        except Exception as error:  # noqa: BLE001 - a foreign graph
            raise BadInput(f"it fails on images of {list(x.shape[1:])} ({printable(str(error), 100)})") from None
        if scores.ndim != 2 or len(scores) != len(part) or not np.isfinite(scores).all():
            raise BadInput(f"it answers numbers of shape {list(scores.shape)}, or some that are not finite")
        parts.append(scores[:real].astype(np.float32))
    return np.concatenate(parts)


class OnnxApi:
    """An ``Api`` (see ``oracles.base``) of an ONNX file in a zoo's folder; ``outputs`` is what it hands out."""

    def __init__(self, folder: Path, card: TeacherCard, outputs: Outputs = "logits") -> None:
        import torch

        self.card, self.outputs, self.queries = card, outputs, 0
        self.teacher_id, self.way, self.picture_shape = card.id, card.way, card.input_size
        self.gives_probabilities = read_config(folder).get("answers") == "probabilities"
        try:
            self.session = open_session(folder / ONNX_FILE, torch.get_num_threads())
        except BadInput as error:
            raise BadInput(f"model {card.id!r}: {error}.") from None

    def ask(self, x: torch.Tensor, most: int | None = None) -> torch.Tensor:
        """See ``Api.ask``; nothing is asked twice, so ``most`` is not read. ``RunFailed``: it answers nonsense."""
        import torch

        from dfml.zoo.teacher import match_channels, match_size

        if not len(x):
            return x.new_zeros(0, self.way)
        self.queries += len(x)
        with torch.no_grad():
            images = match_size(match_channels(x.detach().float().cpu(), self.picture_shape[0]), self.picture_shape[1:])
            mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (self.card.mean, self.card.std))
            prepared = ((images - mean) / std).numpy()
        try:
            scores = torch.from_numpy(answer(self.session, prepared)).to(x)
        except BadInput as error:
            raise RunFailed(f"teacher {self.teacher_id!r}: {error}.") from None
        if scores.shape[1] != self.way:
            raise RunFailed(f"teacher {self.teacher_id!r} answers {scores.shape[1]} numbers, its card says {self.way}.")
        if self.gives_probabilities:
            return scores if self.outputs == "probabilities" else scores.clamp_min(1e-12).log()
        return scores.softmax(1) if self.outputs == "probabilities" else scores
