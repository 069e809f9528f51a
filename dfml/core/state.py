"""Flat checkpoints: nested dicts of tensors and JSON values under path-like keys, and back."""

from __future__ import annotations

from typing import Any

SEPARATOR = "/"


def flatten_state(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn ``{"a": {"b": 1}}`` into ``{"a/b": 1}``; lists and other values stay as they are."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        path = f"{prefix}{SEPARATOR}{key}" if prefix else str(key)
        if isinstance(value, dict):
            flat.update(flatten_state(value, path))
        else:
            flat[path] = value
    return flat


def part_of_state(flat: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The entries below ``prefix``, without it."""
    start = prefix + SEPARATOR
    return {key[len(start) :]: value for key, value in flat.items() if key.startswith(start)}
