"""Record `tour.webp`, the moving picture of the README, from the real app: ``python docs/images/make_tour.py``.

It needs Chromium and Playwright (``requirements-dev.txt``), and takes a few minutes. Nothing is staged: a server of its
own with an empty folder of runs, a fresh browser, the clicks below.
"""

import argparse
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(__file__).with_name("tour.webp")
WINDOW, SIZE = (1280, 800), (840, 525)
MIDDLE = (780, 420)
FRAME = 0.7
"""Seconds that each picture stands."""


def settled(page: Page) -> None:
    """Wait until the page's script has run."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def tour(page: Page, url: str, frames: list[Image.Image]) -> None:
    """Go through the app and take pictures on the way."""

    def take(count: int = 1, pause: float = FRAME) -> None:
        for _ in range(count):
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            frames.append(picture.resize(SIZE, Image.Resampling.LANCZOS))
            time.sleep(pause)

    page.goto(url)
    settled(page)
    page.wait_for_timeout(4000)
    take(2)
    page.get_by_role("button", name="See it in one minute").click()
    page.get_by_role("button", name="Close the minute").wait_for()
    take(9, 3.5)
    for path, charts in (("inversion?run=pixels-000", 1), ("training?run=purer", 3)):
        page.goto(f"{url}/{path}")
        settled(page)
        button = page.get_by_role("button", name="Play", exact=True).first
        button.wait_for()
        page.mouse.move(*MIDDLE)
        if place := button.bounding_box():
            page.mouse.wheel(0, place["y"] - 90)
        page.wait_for_timeout(800)
        take()
        button.click()
        take(6, 1.2)
        # What the curves came to, at rest.
        page.get_by_role("slider", name="Iteration").press("End")
        take(charts)
    page.goto(f"{url}/adaptation")
    page.get_by_text("How it sees them").wait_for()
    settled(page)
    take(3)
    page.goto(f"{url}/guide?lesson=2")
    settled(page)
    take(3, 1.5)


def main() -> None:
    """Start the app, go through it, write the file."""
    parser = argparse.ArgumentParser(description="Record the README's moving picture from the real app.")
    parser.add_argument("--out", type=Path, default=OUT, help="the WebP file to write")
    out = parser.parse_args().out
    with socket.socket() as free, tempfile.TemporaryDirectory() as runs:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
        server = subprocess.Popen(
            [*command, "--server.port", str(port)], cwd=ROOT, env={**os.environ, "DFML_RUNS": runs}
        )
        try:
            url = f"http://127.0.0.1:{port}"
            while True:
                try:
                    urllib.request.urlopen(f"{url}/_stcore/health", timeout=1)
                    break
                except OSError:
                    time.sleep(0.2)
            frames: list[Image.Image] = []
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                context = browser.new_context(viewport={"width": WINDOW[0], "height": WINDOW[1]})
                context.set_default_timeout(180_000)
                tour(context.new_page(), url, frames)
        finally:
            server.kill()
    look = {"save_all": True, "append_images": frames[1:], "duration": round(1000 * FRAME), "loop": 0}
    frames[0].save(out, "WEBP", quality=70, method=6, **look)
    print(f"{out}: {len(frames)} pictures, {out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
