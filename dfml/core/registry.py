"""A registry is a decorator: the name in the decorator is the name everywhere else."""

import importlib
import re
from abc import ABC
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Generic, TypeVar, cast

from dfml.core.config import Config as AnyConfig
from dfml.core.config import Options
from dfml.core.errors import BadInput, nearest

T = TypeVar("T")
Class = TypeVar("Class", bound=type)
_REGISTERED = re.compile(r"""^@[A-Z_]+\.register\(\s*["']([^"'\n]+)["']""", re.MULTILINE)


class Registry(Generic[T]):
    """Maps the field's names to classes, for the command line, the app and the contract tests.

    Args:
        kind: What is registered, in the singular ("method"); used in messages.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        # A class, or the file that will register it.
        self._entries: dict[str, type[T] | str] = {}

    def find_in(self, package: str, folder: str) -> None:
        """Know the names that the files of a package register, from their text; each is imported when it is asked for.

        ``ValueError``: two files take one name.
        """
        for path in sorted(Path(folder).glob("*.py")):
            place = f"{package}.{path.stem}"
            for name in _REGISTERED.findall(path.read_text(encoding="utf-8")):
                known = self._entries.setdefault(name, place)
                if (known if isinstance(known, str) else known.__module__) != place:
                    raise ValueError(f"{self.kind} {name!r} is registered twice")

    def register(self, name: str) -> Callable[[Class], Class]:
        """Return a class decorator that files the class under ``name`` and sets ``cls.name``.

        ``ValueError``: the name is taken.
        """

        def file(cls: Class) -> Class:
            if self._entries.get(name, cls.__module__) != cls.__module__:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = cast("type[T]", cls)
            cls.name = name  # type: ignore[attr-defined]
            return cls

        return file

    def get(self, name: str) -> type[T]:
        """Return the class filed under ``name``.

        ``BadInput``: nothing is filed there; the message names the nearest name and all of them.
        """
        if name not in self._entries:
            known = ", ".join(self._entries)
            raise BadInput(f"unknown {self.kind} {name!r}.{nearest(name, self._entries)} Known: {known}.")
        place = self._entries[name]
        if isinstance(place, str):
            importlib.import_module(place)
        return self._entries[name]  # type: ignore[return-value] - a class by now

    def names(self) -> list[str]:
        """All names, in the order of registration."""
        return list(self._entries)

    def put_first(self, names: Iterable[str]) -> None:
        """Let these come first, in this order; the others follow as they were registered."""
        self._entries = {name: self._entries[name] for name in names} | self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries


PRESETS = ("demo", "published", "paper")
"""Minutes on two CPU cores, with what is ours; as short, without; and as large as the authors had it."""


class Registered(ABC):
    """What a registry holds: named by it, steered by a config that has three presets.

    Attributes:
        name: Registered name.
        Config: Its options.
        papers: Keys of the papers that it comes from, see ``core.papers``.
    """

    name: ClassVar[str]
    papers: ClassVar[tuple[str, ...]] = ()
    Config: ClassVar[type[AnyConfig]]

    def __init__(self, config: AnyConfig | None = None) -> None:
        self.config: Options = config or self.preset("demo")

    @classmethod
    def preset(cls, name: str = "demo") -> Options:
        """A whole config by the name of its preset, see ``PRESETS``; ``BadInput``: another name."""
        if name not in PRESETS:
            raise BadInput(f"unknown preset {name!r}.{nearest(name, PRESETS)} Known: {', '.join(PRESETS)}.")
        return getattr(cls, name)()

    @classmethod
    def demo(cls) -> AnyConfig:
        """The config for a laptop."""
        return cls.Config()

    @classmethod
    def published(cls) -> AnyConfig:
        """What the paper has and nothing else, with its schedule's shape scaled down to minutes on two CPU cores.

        What no paper has in another form is the same as in the demo.
        """
        return cls.demo()

    @classmethod
    def paper(cls) -> AnyConfig:
        """The published config, at its full size."""
        return cls.Config()
