"""Looks at each frame that a browser draws, while other programs take the processors."""

import os
import subprocess
import sys
from contextlib import contextmanager

WATCH = """
() => {
  const charts = () => [...document.querySelectorAll('*')].filter((node) => node.shadowRoot)
    .map((host) => [host, host.shadowRoot.querySelector('.lines path, .map path')]).filter(([, path]) => path);
  const before = charts();
  const seen = window.seen = { frames: 0, without: 0, dim: 0, other: 0, changes: 0, charts: before.length };
  let shape = '';
  const look = () => {
    const now = charts();
    seen.frames += 1;
    const blank = now.some(([, path]) => !(path.getAttribute('d') || '').startsWith('M'));
    if (blank || now.length < before.length) seen.without += 1;
    if (now.some(([host], i) => host !== (before[i] || [])[0])) seen.other += 1;
    const around = [];
    for (let node = now[0] && now[0][0]; node instanceof Element; node = node.parentElement) around.push(node);
    if (around.some((node) => Number(getComputedStyle(node).opacity) < 1)) seen.dim += 1;
    const drawn = now[0] ? now[0][1].getAttribute('d') : '';
    if (drawn !== shape) { seen.changes += 1; shape = drawn; }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}
"""
"""What it puts into ``window.seen``: frames, those without a chart, dimmed or made anew, and changes."""


@contextmanager
def busy_computer(programs=2):
    """Programs that do nothing, as fast as they can, and end with this process, however that ends."""
    work = f"import os\nwhile os.getppid() == {os.getpid()}: sum(range(10000))"
    busy = [subprocess.Popen([sys.executable, "-c", work]) for _ in range(programs)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()
