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
from dfml.zoo.remote.connection import NEEDS, Connection, Reply
from dfml.zoo.teacher import TeacherCard, match_channels, match_size

BODY_AND_HEADER = 65536
CREDENTIALS = "give user and password in the address, as in https://user:password@HOST."


class RemoteApi:
    """One teacher of a server; an ``Api`` (see ``zeroth_order``).

    ``tensors`` names its input and its output, which travel as bytes (``binary``) or as decimal numbers. ``queries``
    are the images sent so far; those of a repeated request count again, unless the connection was refused.
    """

    def __init__(self, connection: Connection, card: TeacherCard, tensors: tuple[str, str], *, binary: bool) -> None:
        try:
            import tritonclient.http  # noqa: F401
        except ImportError:
            raise BadInput(NEEDS) from None
        self.connection, self.tensors, self.binary = connection, tensors, binary
        self.teacher_id, self.way, self.picture_shape = card.id, card.way, card.input_size
        self.queries = 0

    def ask(self, x: torch.Tensor, most: int | None = None) -> torch.Tensor:
        """Scores [N, way] of images [N, C, H, W] in [0, 1] of any size, grey or colour; of their device and type.

        At most ``most`` images are sent, those of repeated requests included.

        Raises:
            RunFailed: No answer before the deadline, nonsense for an answer, or ``most`` is reached.
            BadInput: The server does not know the teacher or refuses the images.
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
        images = InferInput(takes, list(x.shape), "FP32")
        images.set_data_from_numpy(x.contiguous().numpy(), binary_data=self.binary)
        wanted = InferRequestedOutput(gives, binary_data=self.binary)
        body, length = InferenceServerClient.generate_request_body([images], outputs=[wanted])
        headers = {"Content-Type": "application/json"}
        if length is not None:
            headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(length)}

        def charge(sign: int) -> None:
            if sign > 0 and left is not None and self.queries + len(x) > left:
                raise RunFailed(
                    f"teacher {self.teacher_id!r}: the budget of queries is spent, {self.queries} pictures were sent "
                    "(repeated requests included): raise it, or lower q, the steps or the images per class."
                )
            self.queries += sign * len(x)

        reply = self.connection.exchange(
            "POST", f"v2/models/{quote(self.teacher_id, safe='')}/infer", body, headers,
            largest=BODY_AND_HEADER + 40 * len(x) * self.way, until=until, charge=charge,
        )  # fmt: skip
        if reply.status != 200:
            self._refused(reply)
        return self._unpack(reply, len(x))

    def _refused(self, reply: Reply) -> NoReturn:
        server, failure = f"server {self.connection.shown}", f"HTTP {reply.status}{reply.says()}"
        if reply.status == 404:
            raise BadInput(f"{server} knows no model {self.teacher_id!r} any more{reply.says()}.")
        if reply.status in (401, 403):
            raise BadInput(f"{server} refuses the question (HTTP {reply.status}): {CREDENTIALS}")
        if reply.status in (400, 413, 415, 422) and self.binary:
            hint = "if it takes no binary tensors, set encoding=json; if the request is too large, lower batch."
            raise BadInput(f"{server} does not take the pictures ({failure}): {hint}")
        raise RunFailed(f"{server}: teacher {self.teacher_id!r} failed with {failure}: its own log says more.")

    def _unpack(self, reply: Reply, count: int) -> torch.Tensor:
        """Check an answer and return its scores [count, way]."""
        from tritonclient.http import InferenceServerClient

        name, wanted = self.tensors[1], [count, self.way]
        try:
            result = InferenceServerClient.parse_response_body(reply.body, header_length=reply.header_length)
            datatype, scores = result.get_output(name)["datatype"], result.as_numpy(name)
            # A copy: the received bytes are read-only.
            scores = None if scores is None else torch.tensor(scores)
        except Exception:  # noqa: BLE001 - a foreign parser fed with foreign bytes
            kind = f" of type {printable(reply.kind, 40)!r}" if reply.kind else ""
            self._nonsense(f"{len(reply.body):,} bytes{kind} that hold no tensor {printable(name)!r}")
        if datatype != "FP32":
            self._nonsense(f"numbers of type {printable(str(datatype), 40)}, expected FP32")
        shape = None if scores is None else list(scores.shape)
        if shape != wanted:
            self._nonsense(f"scores of shape {shape}, expected {wanted}")
        if not torch.isfinite(scores).all():
            self._nonsense("scores that are not finite numbers")
        return scores

    def _nonsense(self, what: str) -> NoReturn:
        raise RunFailed(f"server {self.connection.shown}: teacher {self.teacher_id!r} answers nonsense: {what}.")
