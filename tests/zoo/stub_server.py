"""A small inference server of this process that does what a test tells it to, good or bad."""

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

SHAPE, WAY = (3, 8, 8), 4
MODEL = {
    "name": "one",
    "inputs": [{"name": "in", "datatype": "FP32", "shape": [-1, *SHAPE]}],
    "outputs": [{"name": "out", "datatype": "FP32", "shape": [-1, WAY]}],
}
INTRODUCTION = {"name": "stub", "version": "1", "extensions": ["binary_tensor_data"]}


def scores_of(pictures):
    """What the model answers: FP32 [N, WAY], another number for each class."""
    mean = pictures.reshape(len(pictures), -1).mean(1, keepdims=True)
    return (mean * np.arange(1, WAY + 1)).astype(np.float32)


class Stub:
    """Listens on a free port until ``close``.

    ``pages`` maps a path to (status, value); ``moods`` are used up one a question: "fine", an HTTP status, "html",
    "close", "silent", "drip", "flood", or a function of the scores that gives (datatype, shape, scores).
    """

    def __init__(self):
        self.pages = {
            "/v2": (200, INTRODUCTION),
            "/v2/repository/index": (200, [{"name": "one", "state": "READY"}]),
            "/v2/models/one": (200, MODEL),
        }
        self.moods, self.seen, self.headers, self.connections = [], [], [], []
        self.ended = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed already

    def _handler(stub):  # noqa: N805 - the handler has a self of its own
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                stub.connections.append(self.request)
                super().setup()

            def log_message(self, *args):
                pass

            def do_GET(self):
                stub.headers.append(dict(self.headers))
                status, value = stub.pages.get(self.path, (404, {"error": "no such page"}))
                if callable(value):
                    value(self)
                elif isinstance(value, bytes):
                    self.send(status, value, "text/html")
                else:
                    self.send(status, json.dumps(value).encode())

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if not self.path.endswith("/infer"):
                    return self.do_GET()
                length = self.headers.get("Inference-Header-Content-Length")
                head = json.loads(body[: int(length)] if length else body)
                shape = head["inputs"][0]["shape"]
                flat = np.frombuffer(body[int(length) :], "<f4") if length else head["inputs"][0]["data"]
                pictures = np.array(flat, np.float32).reshape(shape)
                stub.seen.append((len(pictures), bool(length)))
                mood = stub.moods.pop(0) if stub.moods else "fine"
                if mood == "fine":
                    self.answer("FP32", [len(pictures), WAY], scores_of(pictures), bool(length))
                elif callable(mood):
                    self.answer(*mood(scores_of(pictures)), bool(length))
                elif isinstance(mood, int):
                    self.send(mood, json.dumps({"error": "so it is"}).encode())
                elif mood == "html":
                    self.send(200, b"<html>Welcome</html>", "text/html")
                elif mood == "close":
                    self.close_connection = True
                else:
                    self.torment(mood)

            def answer(self, datatype, shape, scores, binary):
                output = {"name": "out", "datatype": datatype, "shape": shape}
                raw = scores.tobytes() if binary else b""
                output.update({"parameters": {"binary_data_size": len(raw)}} if binary else {"data": scores.tolist()})
                head = json.dumps({"model_name": "one", "outputs": [output]}).encode()
                extra = {"Inference-Header-Content-Length": str(len(head))} if binary else {}
                self.send(200, head + raw, "application/octet-stream" if binary else "application/json", extra)

            def send(self, status, body, kind="application/json", extra=None):
                self.send_response(status)
                for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(extra or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def torment(self, mood):
                self.close_connection = True
                try:
                    if mood == "silent":
                        stub.ended.wait(30)
                        return
                    self.send_response(200)
                    self.send_header("Content-Length", str(2**40))
                    self.end_headers()
                    until = time.monotonic() + 30
                    while not stub.ended.is_set() and time.monotonic() < until:
                        self.wfile.write(b" " if mood == "drip" else b" " * 2**20)
                        time.sleep(0.05 if mood == "drip" else 0)
                except OSError:
                    pass  # the client went away, as it should

        return Handler
