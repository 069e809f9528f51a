"""Where teachers are added to: a new zoo below the runs' folder, or one of the reader's own; never an embedded one."""

import re
from pathlib import Path

import streamlit as st

from dfml.core.errors import BadInput
from dfml.core.paths import inside, runs_root
from dfml.core.texts import is_address
from dfml.zoo.listing import zoo_folder, zoo_names

NEW = ""
_NAME = re.compile(r"\w[\w.-]{0,79}")


def own_zoos(shown: str) -> list[str]:
    """The folders that may grow: the zoos below the runs' folder, and the one that is ``shown``, if it is no other's.

    Polluted copies are left out: of those a file beside them knows who deceives.
    """
    root = runs_root() / "zoos"
    found = [path.parent for path in sorted(root.glob("*/zoo.json"))]
    if shown and not is_address(shown) and shown not in zoo_names():
        folder = Path(shown).expanduser()
        found += [folder] if (folder / "zoo.json").is_file() else []
    embedded = {zoo_folder(name).resolve() for name in zoo_names()}
    kept = {path.resolve(): str(path) for path in reversed(found) if path.resolve() not in embedded}
    return [text for path, text in reversed(kept.items()) if not path.with_name(f"{path.name}.truth.json").is_file()]


def new_zoo(name: str) -> Path:
    """The folder of a new zoo of this name.

    ``BadInput``: the name is none that a folder can have, or a zoo or something else has it already.
    """
    root, name = runs_root() / "zoos", name.strip()
    if not _NAME.fullmatch(name) or inside(root, name).parent != root.resolve():
        raise BadInput(f"a zoo cannot be called {name!r:.80}: give letters, digits, '-', '_' and '.', at most 80.")
    if name in zoo_names():
        raise BadInput(f"{name} is an embedded zoo, which stays as it is: give the new zoo another name.")
    if (root / name).exists():
        raise BadInput(f"there is a zoo {name} already: choose it, or give the new zoo another name.")
    return root / name


def choose_target(shown: str, key: str) -> str:
    """Draw the choice; return the folder of an own zoo, or of a new one.

    ``BadInput``: as ``new_zoo``.
    """
    zoos = own_zoos(shown)
    first = next((place for place, zoo in enumerate(zoos, 1) if zoo == shown), 0)

    def words(zoo: str) -> str:
        below = Path(zoo).parent == runs_root() / "zoos"
        return "a new zoo" if zoo == NEW else Path(zoo).name if below else zoo

    left, right = st.columns(2)
    # Another list of zoos is another choice: what was chosen may be gone.
    look = {"key": f"{key}:into:{hash((*zoos, shown))}", "index": first}
    zoo = left.selectbox("Into", [NEW, *zoos], format_func=words, **look)
    if zoo != NEW:
        return zoo
    names = (f"my-zoo-{number}" if number > 1 else "my-zoo" for number in range(1, 1000))
    free = next(name for name in names if not (runs_root() / "zoos" / name).exists())
    return str(new_zoo(right.text_input("Its name", free, key=f"{key}:called:{free}")))
