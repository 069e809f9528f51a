"""Ways in which a file of a foreign hand may be damaged."""

import json
import os


def _json(value):
    return lambda path: path.write_text(json.dumps(value))


def _become(make):
    def damage(path):
        path.unlink()
        make(path)

    return damage


WHOLE = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3]),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 40),
    "null": _json(None),
    "a list": _json([[], {}, None]),
    "nested": lambda path: path.write_text("[" * 5000),
    "deep": _json(json.loads("[" * 200 + "]" * 200)),
    "half a character": lambda path: path.write_text('{"state": "\\ud800", "kind": "\\ud800"}'),
    "a folder": _become(lambda path: path.mkdir()),
    "a loop": _become(lambda path: path.symlink_to(path)),
    "a pipe": _become(os.mkfifo),
}
"""Of any file."""

VALUES = (
    None,
    True,
    -1,
    0,
    10**30,
    1e308,
    float("nan"),
    float("inf"),
    "x",
    "",
    "\n\0",
    [],
    {},
    [[]],
    [None],
    {"x": {}},
)
"""In the place of any value."""


def places(value, at=()):
    """Where in a JSON value something could be changed: the way to each value, two levels deep."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*at, key)
        if len(at) < 2:
            yield from places(inner, (*at, key))


def changed(value, way, new):
    """A copy of a JSON value with another value at one place."""
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in way[:-1]:
        inner = inner[key]
    inner[way[-1]] = new
    return copy
