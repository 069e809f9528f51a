"""Teachers that answer over HTTP by the Open Inference Protocol v2: KServe, Triton, MLServer and others.

The protocol: github.com/kserve/open-inference-protocol.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import torch

from dfml.core.errors import BadInput, RunFailed
from dfml.core.model_config import LARGEST_INPUT
from dfml.core.texts import printable
from dfml.zoo.card import MOST_CLASSES, MOST_MODELS, TeacherCard
from dfml.zoo.oracles.zeroth_order import Outputs
from dfml.zoo.remote.api import CREDENTIALS, RemoteApi
from dfml.zoo.remote.connection import Connection, RemoteConfig, Reply
from dfml.zoo.teacher import Teacher
from dfml.zoo.zoo import Zoo

BINARY = "binary_tensor_data"
BINARY_UNSAID = ("kserve",)
"""Servers that understand binary tensors without naming the extension."""

OPENING_TRIES, OPENING_SECONDS = 2, 60.0
_SAFE_ID = re.compile(r"[\w-][\w.+ -]{0,199}")
_ONE_MODEL = re.compile(r"(.*)/v2/models/([^/]+)/?")


class RemoteZoo(Zoo):
    """The models of a server; they only answer queries, with tensors that travel as bytes where ``binary``.

    The address ``.../v2/models/NAME`` takes one model alone, which every server can do.

    Raises:
        BadInput: No server of the protocol there, or none of its models is a classifier of images.
        RunFailed: No answer.
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
            raise BadInput(f"server {self.name} has no teacher of pictures: {reason}")

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

    def check(self) -> list[str]:
        """Ask every teacher for one image; those that fail are moved to ``problems``. ``RunFailed``: it is gone."""
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
                "inputs": [{"name": str(takes), "datatype": "FP32", "shape": [-1, 1 | 3 as c, int(h), int(w)]}],
                "outputs": [{"name": str(gives), "datatype": "FP32", "shape": [-1, int(way)]}],
            } if 1 <= min(h, w) <= max(h, w) <= LARGEST_INPUT and 2 <= way <= MOST_CLASSES:
                card = TeacherCard(
                    id=name, architecture="remote", way=way, input_size=(c, h, w), mean=[0.0], std=[1.0],
                    access="queries", source=self.name,
                )  # fmt: skip
                self.cards.append(card)
                self._tensors[name] = takes, gives
            case _:
                raise BadInput(
                    f"model {name!r} is no classifier of pictures: expected one input FP32 [-1, C, H, W] of 1 or 3 "
                    f"channels, at most {LARGEST_INPUT} pixels a side, and one output FP32 [-1, way], it has "
                    f"{_shapes(value.get('inputs'))} and {_shapes(value.get('outputs'))}."
                )


def _shapes(described: Any) -> str:  # noqa: ANN401 - foreign JSON
    tensors = [d for d in described if isinstance(d, dict)] if isinstance(described, list) else []
    return printable(", ".join(f"{d.get('datatype')} {d.get('shape')}" for d in tensors) or "none", 80)
