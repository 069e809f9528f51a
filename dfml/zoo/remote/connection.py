"""A connection to a server that may be gone, slow, or answer nonsense: it never hangs and never fills the memory.

The transport is geventhttpclient, which tritonclient uses too. It is needed only here and imported on first use.
urllib3's ``Retry`` does not choose the waits: it knows no deadline, repeats the first time at once, and adds its jitter
to a wait, where ours takes a share of it away; without them only a counter would be left.
"""

import base64
import json
import os
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field

from dfml.core.config import Config
from dfml.core.errors import BadInput, RunFailed
from dfml.core.remedies import install
from dfml.core.texts import printable

WORTH_ANOTHER_TRY = (429, 502, 503, 504)
"""HTTP answers of a server that is busy, starting, or out of a proxy's reach."""

LONGEST_WAIT = 8.0
LARGEST_DESCRIPTION = 16 * 2**20
BLOCK = 65536
_JITTER = random.Random()
PASSWORD = "DFML_REMOTE_PASSWORD"
"""Variable of the environment with ``user:password@HOST`` or ``...@HOST:PORT``, for addresses that name none."""

NEEDS = f"a remote zoo needs two more packages: {install('remote')}."


@dataclass(frozen=True)
class Reply:
    """What a server answered: HTTP status, content type ``kind`` as received, and ``body``, which may be anything.

    ``header_length`` is the bytes of JSON before the tensors in the body, None where all of it is JSON.
    """

    status: int
    header_length: int | None
    kind: str
    body: bytes

    def read(self) -> Any:  # noqa: ANN401 - any JSON value
        """The body as JSON, or None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def says(self) -> str:
        """The server's own words on a failure, fit to be shown, or an empty string."""
        value = self.read()
        error = value.get("error", value.get("detail")) if isinstance(value, dict) else None
        return f" ({printable(str(error))})" if error else ""


class RemoteConfig(Config):
    """How a server is spoken to."""

    batch: int = Field(64, ge=1, le=4096, description="Most images per request.")
    encoding: Literal["auto", "binary", "json"] = Field(
        "auto", description="How tensors travel; auto: binary where the server is known to understand it."
    )
    connect_timeout: float = Field(5.0, gt=0, le=600, description="Seconds to wait for a connection.")
    read_timeout: float = Field(30.0, gt=0, le=3600, description="Seconds of silence after which a try is given up.")
    deadline: float = Field(120.0, gt=0, le=86400, description="Seconds of one call, with all its tries and waits.")
    retries: int = Field(8, ge=0, le=100, description="Further tries of a request after a failure that may pass.")
    backoff: float = Field(0.5, gt=0, le=60, description="Seconds before the second try; doubled for each one after.")


class Connection:
    """Talks HTTP with one server: ``http(s)://``, a host, optionally a port, a path and ``user:password@``.

    ``shown`` is the address for people, without user and password. ``BadInput``: the address cannot be used, or the
    client's packages are missing.
    """

    def __init__(self, url: str, config: RemoteConfig | None = None) -> None:
        self.config = config or RemoteConfig()
        self.url = url
        try:
            parts = urlsplit(url.strip())
            port = parts.port
        except ValueError:
            # Not repeated: what cannot be parsed may hold a password.
            raise BadInput("the address of the server cannot be read: expected http://HOST:PORT.") from None
        if parts.scheme not in ("http", "https"):
            raise BadInput(f"a server's address begins with http:// or https://, received {parts.scheme + '://'!r}.")
        if not parts.hostname or any(c.isspace() or not c.isprintable() for c in url.strip()):
            raise BadInput(f"the address of the server names no host: expected {parts.scheme}://HOST:PORT.")
        if parts.query or parts.fragment:
            raise BadInput("the address of the server ends in ? or #, which has no meaning here: leave that out.")
        self.secure = parts.scheme == "https"
        self.host, self.port = parts.hostname, port or (443 if self.secure else 80)
        self.base = parts.path.rstrip("/")
        host = f"[{self.host}]" if ":" in self.host else self.host
        self.shown = f"{parts.scheme}://{host}" + (f":{port}" if port else "") + self.base
        self._headers = {"Accept": "application/json, application/octet-stream"}
        pair, _, where = os.environ.get(PASSWORD, "").rpartition("@")
        if where not in (self.host, f"{self.host}:{self.port}"):
            pair = ""  # meant for another server
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        if pair:
            self._headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        self._of_thread = threading.local()
        try:
            import geventhttpclient  # noqa: F401
        except ImportError:
            raise BadInput(NEEDS) from None

    def __reduce__(self) -> tuple[Any, ...]:
        return Connection, (self.url, self.config)

    def exchange(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        until: float,
        largest: int = LARGEST_DESCRIPTION,
        retries: int | None = None,
        charge: Callable[[int], None] = lambda sign: None,
    ) -> Reply:
        """Send a request to a quoted path below the address, again where the failure may pass.

        It gives up when ``time.monotonic()`` is ``until``. ``charge`` is called with 1 before each try, which it may
        forbid by raising, and with -1 where that try cannot have reached the server. ``RunFailed``: no answer in time,
        or one that is too long; ``BadInput``: the host does not exist, or its certificate is not trusted.
        """
        started = time.monotonic()
        retries, tries = self.config.retries if retries is None else retries, 0
        while True:
            charge(1)
            tries += 1
            try:
                reply = self._once(method, path, body, headers or {}, largest, until)
                if reply.status not in WORTH_ANOTHER_TRY:
                    return reply
                reason = f"it answered HTTP {reply.status}{reply.says()}"
            except _Failed as failure:
                reason, unsent = failure.args
                if unsent:
                    charge(-1)
            # Between half the wait and the whole: clients that lost a server together do not return together.
            wait = min(LONGEST_WAIT, self.config.backoff * 2 ** (tries - 1)) * _JITTER.uniform(0.5, 1.0)
            late = time.monotonic() + wait >= until
            if tries > retries or late:
                seconds = time.monotonic() - started
                spent = "The deadline is over" if late else "No try is left"
                raise RunFailed(
                    f"server {self.shown} gives no answer: {reason}. {spent} ({tries} "
                    f"{'try' if tries == 1 else 'tries'} in {seconds:.0f} s): see that it runs, then go on."
                )
            time.sleep(wait)

    def _once(self, method: str, path: str, body: bytes, headers: dict[str, str], largest: int, until: float) -> Reply:
        """One try, see ``exchange``; ``_Failed`` where the failure may pass."""
        from gevent import Timeout
        from geventhttpclient.response import HTTPParseError

        whole, timer, client = False, Timeout(max(0.001, until - time.monotonic())), None
        try:
            with timer:  # at whatever it waits for then: a name, or a byte that trickles in
                client = self._client()
                response = client.request(method, f"{self.base}/{path}", body, {**self._headers, **headers})
                with response:
                    length = response.get("Inference-Header-Content-Length")  # once, several times or not at all
                    reply = Reply(
                        response.status_code,
                        int(length) if isinstance(length, str) and length.isdecimal() else None,
                        str(response.get("Content-Type", "")),
                        self._read(response, largest, until),
                    )
            whole = True
            return reply
        except Timeout as raised:
            if raised is not timer:
                raise
            raise _Failed("it was too slow", False) from None
        except TimeoutError:
            raise _Failed("it was silent for too long", False) from None
        except ConnectionRefusedError:
            raise _Failed("the connection was refused", True) from None
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise _Failed("its name cannot be looked up now", True) from None
            raise BadInput(f"no host {self.host!r} is known: check the address of the server.") from None
        except ssl.SSLCertVerificationError as error:
            raise BadInput(f"server {self.shown} is not trusted: {printable(error.verify_message)}.") from None
        except ssl.SSLError:
            raise BadInput(f"server {self.shown} speaks no TLS that is understood here: try http://.") from None
        except HTTPParseError:
            raise _Failed("the connection was lost, or it speaks no HTTP", False) from None
        except OSError as error:
            raise _Failed(f"the connection was lost ({error.strerror or type(error).__name__})", False) from None
        finally:
            if not whole:  # whatever is left in the connection belongs to a request that nobody waits for any more
                self._of_thread.client = None
                if client is not None:
                    client.close()

    def _read(self, response: Any, largest: int, until: float) -> bytes:  # noqa: ANN401 - imported lazily
        body = bytearray()
        while block := response.read(BLOCK):
            body += block
            if len(body) > largest:
                raise RunFailed(f"server {self.shown} answers nonsense: more than {largest:,} bytes, that is too many.")
            # A server that never pauses gives the other clock no chance.
            if time.monotonic() > until:
                raise _Failed("it was too slow", False)
        return bytes(body)

    def _client(self) -> Any:  # noqa: ANN401 - imported lazily
        """The connection of this thread: gevent's must not be shared."""
        client = getattr(self._of_thread, "client", None)
        if client is None:
            from geventhttpclient import HTTPClient

            client = HTTPClient(
                self.host, self.port, ssl=self.secure, block_size=BLOCK,
                connection_timeout=self.config.connect_timeout, network_timeout=self.config.read_timeout,
            )  # fmt: skip
            self._of_thread.client = client
        return client


class _Failed(Exception):
    """A try that failed in a way that may pass: why, and whether it cannot have reached the server."""
