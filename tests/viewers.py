"""Clients that speak Streamlit's protocol, as many browsers would: they open a page, and run its timers."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.typing import Subprotocol


@dataclass
class Viewer:
    """One open page.

    Attributes:
        asked: When a run of a script was asked for, in order.
        answered: When each of those ended.
        exceptions: What the pages raised.
        due: How often a second its timers ask for a fragment, by fragments.
        drawn: How many fragments the server has begun to draw: it draws some that are asked for together in one run.
        texts: Every element that came, as text, and when; of what is drawn by a component's own script, nothing.
    """

    url: str
    page: str = ""
    query: str = ""
    asked: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)
    due: dict[str, float] = field(default_factory=dict)
    drawn: int = 0
    texts: list[tuple[float, str]] = field(default_factory=list)

    async def watch(self, seconds: float, until: Callable[[], object] = lambda: False) -> None:
        """Open the page and do what its timers ask for, for so many ``seconds`` or ``until`` something is true."""
        address = self.url.replace("http", "ws", 1) + "/_stcore/stream"
        end, timers = time.monotonic() + seconds, {}
        async with websockets.connect(address, subprotocols=[Subprotocol("streamlit")], max_size=None) as socket:

            async def ask(fragment: str = "") -> None:
                message = BackMsg()
                order = message.rerun_script
                order.page_name, order.query_string = self.page, self.query
                order.fragment_id, order.is_auto_rerun = fragment, bool(fragment)
                self.asked.append(time.monotonic())
                await socket.send(message.SerializeToString())

            async def tick(fragment: str, every: float) -> None:
                while True:
                    await asyncio.sleep(every)
                    await ask(fragment)

            await ask()
            try:
                while time.monotonic() < end and not until():
                    raw = await asyncio.wait_for(socket.recv(), max(0.01, end - time.monotonic()))
                    self._hear(raw, timers, tick)
            except TimeoutError:
                pass
            finally:
                for timer in timers.values():
                    timer.cancel()

    def _hear(self, raw: str | bytes, timers: dict, tick) -> None:
        message = ForwardMsg()
        assert isinstance(raw, bytes)
        message.ParseFromString(raw)
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self.drawn += len(message.metadata.run.fragment_ids)
        if kind == "auto_rerun":
            fragment = message.auto_rerun.fragment_id
            if fragment in timers:
                timers[fragment].cancel()
            timers[fragment] = asyncio.create_task(tick(fragment, message.auto_rerun.interval))
            self.due[fragment] = 1 / message.auto_rerun.interval
        elif kind == "new_session" and not message.metadata.run.fragment_ids:
            for timer in timers.values():  # a full run of the page sets its timers anew
                timer.cancel()
            timers.clear()
            self.due.clear()
        elif kind == "script_finished":
            self.answered.append(time.monotonic())
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            if message.delta.new_element.WhichOneof("type") == "exception":
                self.exceptions.append(message.delta.new_element.exception.message)
            elif message.delta.new_element.WhichOneof("type") != "bidi_component":
                self.texts.append((time.monotonic(), str(message.delta.new_element)))


def watch_together(viewers: list[Viewer], seconds: float, until: Callable[[], object] = lambda: False) -> None:
    """Let all of them watch at the same time."""

    async def together() -> None:
        await asyncio.gather(*(viewer.watch(seconds, until) for viewer in viewers))

    with ThreadPoolExecutor(1) as apart:  # the browser's own loop may run in this thread
        apart.submit(asyncio.run, together()).result()
