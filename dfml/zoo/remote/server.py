"""The server behind ``zoo serve``: KServe's own, answering with logits for every teacher of a zoo.

Runs only in the server's virtual environment (requirements-server.txt); nothing else imports this file.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import threading
import time
import urllib.request
import warnings
from typing import Any

# pyright: reportMissingImports=false
import kserve
import numpy as np
import torch
from kserve.errors import InvalidInput
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.server import RESTServer

from dfml.core.errors import BadInput
from dfml.nets.device import use_threads
from dfml.zoo import open_zoo
from dfml.zoo.oracles.base import LocalApi
from dfml.zoo.teacher import Teacher

TAKES, GIVES = "pictures", "logits"
MOST_IMAGES = 4096


class ServedTeacher(kserve.Model):
    """A teacher of the zoo under its id."""

    def __init__(self, teacher: Teacher) -> None:
        super().__init__(teacher.card.id)
        self.api = LocalApi(teacher)
        self.ready = True

    def get_input_types(self) -> list[dict[str, Any]]:
        """What it takes: FP32 [-1, C, H, W] in [0, 1]."""
        return [{"name": TAKES, "datatype": "FP32", "shape": [-1, *self.api.picture_shape]}]

    def get_output_types(self) -> list[dict[str, Any]]:
        """What it gives: FP32 [-1, way]."""
        return [{"name": GIVES, "datatype": "FP32", "shape": [-1, self.api.way]}]

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> kserve.InferResponse:  # noqa: ANN401 - KServe's signature
        """Answer a request, in a thread of its own, so that the server stays awake for others, or ``InvalidInput``."""
        logits = await asyncio.to_thread(self.api.ask, torch.from_numpy(self._images(payload)))
        output = kserve.InferOutput(GIVES, list(logits.shape), "FP32")
        output.set_data_from_numpy(logits.numpy(), binary_data=True)
        return kserve.InferResponse(
            response_id=payload.id or "0", model_name=self.name, infer_outputs=[output],
            use_binary_outputs=payload.use_binary_outputs, requested_outputs=payload.request_outputs,
        )  # fmt: skip

    def _images(self, payload: Any) -> np.ndarray:  # noqa: ANN401 - KServe's request, or a dict of version 1
        inputs = getattr(payload, "inputs", [])
        shape = list(inputs[0].shape) if len(inputs) == 1 else []
        if shape[1:] != list(self.api.picture_shape) or not 1 <= shape[0] <= MOST_IMAGES:
            wanted = ["N", *self.api.picture_shape]
            raise InvalidInput(f"expected one input of shape {wanted}, N at most {MOST_IMAGES}, received {shape}.")
        if inputs[0].datatype != "FP32":
            raise InvalidInput(f"expected FP32, received {inputs[0].datatype}.")
        try:
            return np.array(inputs[0].as_numpy(), dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"the images cannot be read: {error}.") from None


class Plane(DataPlane):
    """Says that tensors may travel as bytes; KServe understands them and does not name the extension."""

    def metadata(self) -> dict[str, Any]:
        """Metadata of the server."""
        known = super().metadata()
        return {**known, "extensions": [*known["extensions"], "binary_tensor_data"]}


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. ``BadInput`` where the address or the port cannot be had."""
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, number)
        # A server that was stopped a moment ago must not keep the next from its port. On Windows it would share one.
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        raise BadInput(f"cannot listen on {host} port {port}: {error.strerror}; take another --port.") from None
    return listener


def tell_when_ready(url: str, line: str) -> None:
    """Print ``line`` once the server answers, from a thread of its own."""

    def wait() -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:
            try:
                with opener.open(f"{url}/v2/health/ready", timeout=5):
                    print(line, flush=True)
                    return
            except OSError:
                time.sleep(0.05)

    threading.Thread(target=wait, daemon=True).start()


def main(settings: dict[str, Any]) -> None:
    """Load the zoo and serve it until Ctrl-C or SIGTERM, its normal ends; ``settings`` as in ``serve_command``."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    # KServe's matter, once a start.
    warnings.filterwarnings("ignore", message="ORJSONResponse is deprecated")
    use_threads(settings["threads"])
    # The port first: a taken one is told at once, not after a minute of loading.
    listener = listen(settings["host"], settings["port"])
    host, port = listener.getsockname()[:2]
    zoo = open_zoo(settings["zoo"])
    teachers = zoo.usable()
    for model, reason in zoo.problems.items():
        print(f"left out: {model}: {reason}", file=sys.stderr, flush=True)
    models = kserve.ModelRepository()
    for teacher in teachers:
        models.update(ServedTeacher(teacher))
    reachable = str({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host))
    url = f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
    line = f"zoo {zoo.name}: {len(teachers)} teachers answer at {url} (Ctrl-C ends it)"
    if settings["json"]:
        line = json.dumps({"zoo": zoo.name, "teachers": len(teachers), "url": url})
    tell_when_ready(url, line)
    plane = Plane(model_registry=models)
    server = RESTServer(
        "kserve.model_server:app", plane, ModelRepositoryExtension(model_registry=models), port, grace_period=5
    )
    server.run(sockets=[listener])
