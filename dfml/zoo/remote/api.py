"""Asking one teacher of a server: tensors out, checked scores back.

Tensors are packed and unpacked by tritonclient; what arrives is checked before anyone computes with it, since a
remote teacher may be anybody's.
"""

from __future__ import annotations

import time
from typing import NoReturn
from urllib.parse import quote

import torch

from dfml.core.errors import BadInput, RunFailed
from dfml.core.texts import printable
from dfml.zoo.remote.connection import NEEDS, Connection
from dfml.zoo.remote.reply import Reply
from dfml.zoo.teacher import TeacherCard, match_channels, match_size

BODY_AND_HEADER = 65536
CREDENTIALS = "give user and password in the address, as in https://user:password@HOST."


class RemoteApi:
    """One teacher of a server; an ``Api`` (see ``zeroth_order``).

    Args:
        connection: To its server.
        card: Its card.
        tensors: Names of its input and its output.
        binary: Whether tensors travel as bytes rather than as decimal numbers.

    Attributes:
        queries: Pictures sent so far. Those of a repeated request count again, unless the connection was refused.
        requests: Requests tried so far.
    """

    def __init__(self, connection: Connection, card: TeacherCard, tensors: tuple[str, str], *, binary: bool) -> None:
        try:
            import tritonclient.http  # noqa: F401
        except ImportError:
            raise BadInput(NEEDS) from None
        self.connection, self.card, self.tensors, self.binary = connection, card, tensors, binary
        self.teacher_id = card.id
        self.way = card.way
        self.picture_shape = card.input_size
        self.queries = 0
        self.requests = 0

    def ask(self, x: torch.Tensor, most: int | None = None) -> torch.Tensor:
        """Scores [N, way] of pictures [N, C, H, W] in [0, 1], where and in the type that the pictures are.

        Args:
            x: Pictures of any size, grey or colour; they are converted before they are sent.
            most: Pictures that may be sent, those of repeated requests included; None: no limit.

        Raises:
            RunFailed: No answer before the deadline, nonsense for an answer, or ``most`` is reached.
            BadInput: The server does not know the teacher or refuses the pictures.
        """
        if not len(x):
            return x.new_zeros(0, self.way)
        until = time.monotonic() + self.connection.config.deadline
        left = None if most is None else self.queries + most
        sent = match_size(match_channels(x.detach().float(), self.picture_shape[0]), self.picture_shape[1:])
        answers = [self._ask(part, until, left) for part in sent.cpu().split(self.connection.config.batch)]
        return torch.cat(answers).to(x)

    def _ask(self, x: torch.Tensor, until: float, left: int | None) -> torch.Tensor:
        from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

        takes, gives = self.tensors
        pictures = InferInput(takes, list(x.shape), "FP32")
        pictures.set_data_from_numpy(x.contiguous().numpy(), binary_data=self.binary)
        wanted = InferRequestedOutput(gives, binary_data=self.binary)
        body, length = InferenceServerClient.generate_request_body([pictures], outputs=[wanted])
        headers = {"Content-Type": "application/json"}
        if length is not None:
            headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(length)}

        def charge(sign: int) -> None:
            if sign > 0 and left is not None and self.queries + len(x) > left:
                raise RunFailed(
                    f"teacher {self.teacher_id!r}: the budget of queries is spent, {self.queries} pictures were sent "
                    "(repeated requests included): raise it, or lower q, the steps or the pictures a class."
                )
            self.queries += sign * len(x)
            self.requests += sign

        reply = self.connection.exchange(
            "POST", f"v2/models/{quote(self.teacher_id, safe='')}/infer", body, headers,
            largest=BODY_AND_HEADER + 40 * len(x) * self.way, until=until, charge=charge,
        )  # fmt: skip
        if reply.status != 200:
            self._refused(reply)
        return self._unpack(reply, len(x))

    def _refused(self, reply: Reply) -> NoReturn:
        shown = self.connection.shown
        if reply.status == 404:
            raise BadInput(f"server {shown} knows no model {self.teacher_id!r} any more{reply.says()}.")
        if reply.status in (401, 403):
            raise BadInput(f"server {shown} refuses the question (HTTP {reply.status}): {CREDENTIALS}")
        if reply.status in (400, 413, 415, 422) and self.binary:
            hint = "if it takes no binary tensors, set encoding=json; if the request is too large, lower batch."
            raise BadInput(f"server {shown} does not take the pictures (HTTP {reply.status}{reply.says()}): {hint}")
        raise RunFailed(
            f"server {shown}: teacher {self.teacher_id!r} failed with HTTP {reply.status}{reply.says()}: "
            "its own log says more."
        )

    def _unpack(self, reply: Reply, count: int) -> torch.Tensor:
        """Check an answer and return its scores [count, way]."""
        from tritonclient.http import InferenceServerClient

        try:
            result = InferenceServerClient.parse_response_body(reply.body, header_length=reply.header_length)
            output = result.get_output(self.tensors[1])
            datatype, scores = output["datatype"], result.as_numpy(self.tensors[1])
            # A copy: the received bytes are read-only.
            scores = None if scores is None else torch.tensor(scores)
        except Exception:  # noqa: BLE001 - a foreign parser fed with foreign bytes
            kind = f" of type {printable(reply.kind, 40)!r}" if reply.kind else ""
            self._nonsense(f"{len(reply.body):,} bytes{kind} that hold no tensor {printable(self.tensors[1])!r}")
        if datatype != "FP32":
            self._nonsense(f"numbers of type {printable(str(datatype), 40)}, expected FP32")
        if scores is None or tuple(scores.shape) != (count, self.way):
            got = None if scores is None else list(scores.shape)
            self._nonsense(f"scores of shape {got}, expected {[count, self.way]}")
        if not torch.isfinite(scores).all():
            self._nonsense("scores that are not finite numbers")
        return scores

    def _nonsense(self, what: str) -> NoReturn:
        raise RunFailed(f"server {self.connection.shown}: teacher {self.teacher_id!r} answers nonsense: {what}.")
