"""Teachers that answer over HTTP by the Open Inference Protocol v2: KServe, Triton, MLServer and others.

The protocol: github.com/kserve/open-inference-protocol. tritonclient packs and unpacks tensors; what arrives is checked
before anyone computes with it, since a remote teacher may be anybody's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote, unquote

from dfml.core.errors import BadInput, RunFailed
from dfml.core.model_config import LARGEST_INPUT
from dfml.core.texts import printable
from dfml.zoo.listing import MOST_CLASSES, MOST_MODELS, TeacherCard
from dfml.zoo.oracles.asking import Outputs
from dfml.zoo.remote.connection import NEEDS, Connection, RemoteConfig, Reply
from dfml.zoo.zoo import Zoo

if TYPE_CHECKING:
    import torch

    from dfml.zoo.teacher import Teacher

BODY_AND_HEADER = 65536
CREDENTIALS = "give user and password in the address, as in https://user:password@HOST."


class RemoteApi:
    """One teacher of a server; an ``Api`` (see ``oracles.base``).

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

        At most ``most`` images are sent, those of repeated requests included. ``RunFailed``: no answer before the
        deadline, nonsense for an answer, or ``most`` is reached; ``BadInput``: the server does not know the teacher or
        refuses the images.
        """
        import torch

        from dfml.zoo.teacher import match_channels, match_size

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
                    f"teacher {self.teacher_id!r}: the budget of queries is spent, {self.queries} images were sent "
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
            raise BadInput(f"{server} does not take the images ({failure}): {hint}")
        raise RunFailed(f"{server}: teacher {self.teacher_id!r} failed with {failure}: its own log says more.")

    def _unpack(self, reply: Reply, count: int) -> torch.Tensor:
        """Check an answer and return its scores [count, way]."""
        import torch
        from tritonclient.http import InferenceServerClient

        name, wanted = self.tensors[1], [count, self.way]
        try:
            result = InferenceServerClient.parse_response_body(reply.body, header_length=reply.header_length)
            output = result.get_output(name)
            datatype, scores = output["datatype"], result.as_numpy(name)  # pyright: ignore[reportOptionalSubscript] - below
            # A copy: the received bytes are read-only.
            scores = None if scores is None else torch.tensor(scores)
        except Exception:  # noqa: BLE001 - a foreign parser fed with foreign bytes
            kind = f" of type {printable(reply.kind, 40)!r}" if reply.kind else ""
            self._nonsense(f"{len(reply.body):,} bytes{kind} that hold no tensor {printable(name)!r}")
        if datatype != "FP32":
            self._nonsense(f"numbers of type {printable(str(datatype), 40)}, expected FP32")
        shape = None if scores is None else list(scores.shape)
        if scores is None or shape != wanted:
            self._nonsense(f"scores of shape {shape}, expected {wanted}")
        if not torch.isfinite(scores).all():
            self._nonsense("scores that are not finite numbers")
        return scores

    def _nonsense(self, what: str) -> NoReturn:
        raise RunFailed(f"server {self.connection.shown}: teacher {self.teacher_id!r} answers nonsense: {what}.")


BINARY = "binary_tensor_data"
BINARY_UNSAID = ("kserve",)
"""Servers that understand binary tensors without naming the extension."""

OPENING_TRIES, OPENING_SECONDS = 2, 60.0
_SAFE_ID = re.compile(r"[\w-][\w.+ -]{0,199}")
_ONE_MODEL = re.compile(r"(.*)/v2/models/([^/]+)/?")


class RemoteZoo(Zoo):
    """The models of a server; they only answer queries, with tensors that travel as bytes where ``binary``.

    The address ``.../v2/models/NAME`` takes one model alone, which every server can do. ``BadInput``: no server of the
    protocol there, or none of its models is a classifier of images; ``RunFailed``: no answer.
    """

    def __init__(self, url: str, config: RemoteConfig | None = None) -> None:
        self.source = url
        only = _ONE_MODEL.fullmatch(url.strip())
        self.connection = Connection(only[1] if only else url.strip().rstrip("/").removesuffix("/v2"), config)
        self.name = self.address = self.connection.shown
        self.domain, self.shared_class_names = None, False
        self.problems: dict[str, str] = {}
        self.cards: list[TeacherCard] = []
        self._tensors: dict[str, tuple[str, str]] = {}
        self._until = time.monotonic() + min(OPENING_SECONDS, self.connection.config.deadline)
        server = self._introduction()
        extensions = server.get("extensions")
        known = isinstance(extensions, list) and BINARY in extensions or server["name"] in BINARY_UNSAID
        self.binary = {"binary": True, "json": False}.get(self.connection.config.encoding, known)
        names = [unquote(only[2])] if only else self._names()
        self.listed = len(names)
        for name in names:
            try:
                self._describe(name)
            except BadInput as error:
                self.problems[printable(name)] = str(error)
        if not self.cards:
            reason = next(iter(self.problems.values()), "it has no model that is ready.")
            raise BadInput(f"server {self.name} has no teacher of images: {reason}")

    @property
    def folder(self) -> Path:
        """A server has none: always ``BadInput``."""
        raise BadInput(f"zoo {self.name} is a server, not a folder: do this with the folder that it serves.")

    def api(self, which: str | int, device: torch.device | str = "cpu", outputs: Outputs = "logits") -> RemoteApi:
        """See ``Zoo.api``."""
        card = self.card(which)
        return RemoteApi(self.connection, card, self._tensors[card.id], binary=self.binary)

    def teacher(self, which: str | int) -> Teacher:
        """Never given out: always ``BadInput``, which says what a remote teacher can do."""
        raise BadInput(self._only_queries(f"teacher {self.card(which).id!r} of"))

    weights_of = teacher

    def __iter__(self) -> Iterator[Teacher]:
        raise BadInput(self._only_queries("the teachers of"))

    def look_at(self, which: str | int) -> None:
        """A server shows no weight files."""

    def check(self) -> list[str]:
        """Ask every teacher for one image; those that fail are moved to ``problems``. ``RunFailed``: it is gone."""
        import torch

        for card in list(self.cards):
            try:
                self.api(card.id).ask(torch.full((1, *card.input_size), 0.5))
            except (BadInput, RunFailed) as error:
                self.cards.remove(card)
                self.problems[card.id] = str(error)
                self._get("v2")  # the server itself is still there, or this ends the command
        return self.ids

    def weights_mark(self, card: TeacherCard) -> str:
        """A server does not tell."""
        return ""

    def judge_folder(self, card: TeacherCard) -> None:
        """A server shows no judge."""

    def _only_queries(self, whose: str) -> str:
        return f"{whose} {self.name} only answers queries: it takes a method that works on a black box."

    def _get(self, path: str, *, method: str = "GET", body: bytes = b"") -> Reply:
        # At the door people wait: a wrong address is named soon.
        tries = min(OPENING_TRIES, self.connection.config.retries)
        headers = {"Content-Type": "application/json"} if body else None
        reply = self.connection.exchange(method, path, body, headers, until=self._until, retries=tries)
        if reply.status in (401, 403):
            raise BadInput(f"server {self.name} refuses (HTTP {reply.status}): {CREDENTIALS}")
        return reply

    def _introduction(self) -> dict[str, Any]:
        """The server's metadata, after checking that it is one of this protocol."""
        reply = self._get("v2")
        value = reply.read()
        if reply.status == 200 and isinstance(value, dict) and "name" in value:
            return value
        older = self._get("v1/models")
        if older.status == 200 and isinstance(older.read(), dict) and "models" in older.read():
            raise BadInput(f"server {self.name} speaks only version 1 of the protocol, not Open Inference (v2).")
        gave = f"HTTP {reply.status}" + (f" of type {printable(reply.kind, 40)!r}" if reply.kind else "")
        raise BadInput(f"{self.name} is no server of the Open Inference Protocol v2: /v2 gave {gave}.")

    def _names(self) -> list[str]:
        """The models that are ready: by the repository extension, else by KServe's own list."""
        found, value = None, self._get("v2/repository/index", method="POST", body=b"{}").read()
        if isinstance(value, list):
            rows = [row for row in value if isinstance(row, dict)]
            found = [row.get("name") for row in rows if str(row.get("state") or "READY").upper() == "READY"]
        elif isinstance(value := self._get("v2/models").read(), dict):
            found = value.get("models")
        if not isinstance(found, list):
            raise BadInput(f"server {self.name} does not list its models: name one, as in {self.name}/v2/models/NAME.")
        names = list(dict.fromkeys(name for name in found if isinstance(name, str) and name))
        if len(names) > MOST_MODELS:
            raise BadInput(f"server {self.name} lists {len(names):,} models, at most {MOST_MODELS:,} are read.")
        return names

    def _describe(self, name: str) -> None:
        """Make a model's card from its metadata, and note the names of its input and output."""
        # The id names folders of runs.
        if not _SAFE_ID.fullmatch(name):
            raise BadInput(f"model {printable(name)!r}: the name cannot be a folder's.")
        reply = self._get(f"v2/models/{quote(name, safe='')}")
        value = reply.read()
        if reply.status != 200 or not isinstance(value, dict):
            raise BadInput(f"model {name!r}: server {self.name} describes it with HTTP {reply.status}{reply.says()}.")
        match value:
            case {
                "inputs": [{"name": str(takes), "datatype": "FP32", "shape": [-1 as n, 1 | 3 as c, int(h), int(w)]}],
                "outputs": [{"name": str(gives), "datatype": "FP32", "shape": [-1 as m, int(way)]}],
            } if (
                {type(number) for number in (n, c, h, w, m, way)} == {int}
                and 1 <= min(h, w) <= max(h, w) <= LARGEST_INPUT
                and 2 <= way <= MOST_CLASSES
            ):
                card = TeacherCard(
                    id=name, architecture="remote", way=way, input_size=(c, h, w), mean=[0.0], std=[1.0],
                    access="queries", source=self.name,
                )  # fmt: skip
                self.cards.append(card)
                self._tensors[name] = takes, gives
            case _:
                raise BadInput(
                    f"model {name!r} is no classifier of images: expected one input FP32 [-1, C, H, W] of 1 or 3 "
                    f"channels, at most {LARGEST_INPUT} pixels a side, and one output FP32 [-1, way], it has "
                    f"{_shapes(value.get('inputs'))} and {_shapes(value.get('outputs'))}."
                )


def _shapes(described: Any) -> str:  # noqa: ANN401 - foreign JSON
    tensors = [d for d in described if isinstance(d, dict)] if isinstance(described, list) else []
    return printable(", ".join(f"{d.get('datatype')} {d.get('shape')}" for d in tensors) or "none", 80)
