"""Where teachers are added to: a new zoo below the runs' folder, or one of the reader's own; never an embedded one."""

from pathlib import Path

import streamlit as st

from dfml.core.paths import own_zoos
from dfml.core.texts import is_address
from dfml.ui.zoo.polluting import is_polluted
from dfml.zoo.build.zoo_config import new_own_zoo
from dfml.zoo.listing import own_zoo_names, zoo_folder, zoo_names

NEW = ""


def growing_zoos(shown: str) -> list[str]:
    """The folders that may grow: the zoos below the runs' folder, and the one that is ``shown``, if it is no other's.

    Polluted copies are left out: of those a file beside them knows who deceives.
    """
    found = [Path(path) for path in own_zoo_names()]
    if shown and not is_address(shown) and shown not in zoo_names():
        folder = Path(shown).expanduser()
        found += [folder] if (folder / "zoo.json").is_file() else []
    embedded = {zoo_folder(name).resolve() for name in zoo_names()}
    kept = {path.resolve(): str(path) for path in reversed(found) if path.resolve() not in embedded}
    return [text for path, text in reversed(kept.items()) if not is_polluted(path)]


def choose_target(shown: str, key: str) -> str:
    """Draw the choice; return the folder of an own zoo, or of a new one.

    ``BadInput``: see ``new_own_zoo``.
    """
    zoos = growing_zoos(shown)
    first = next((place for place, zoo in enumerate(zoos, 1) if zoo == shown), 0)

    def words(zoo: str) -> str:
        below = Path(zoo).parent == own_zoos()
        return "a new zoo" if zoo == NEW else Path(zoo).name if below else zoo

    left, right = st.columns(2)
    # Another list of zoos is another choice: what was chosen may be gone.
    look = {"key": f"{key}:into:{hash((*zoos, shown))}", "index": first}
    zoo = left.selectbox("Into", [NEW, *zoos], format_func=words, **look)
    if zoo != NEW:
        return zoo
    names = (f"my-zoo-{number}" if number > 1 else "my-zoo" for number in range(1, 1000))
    free = next(name for name in names if not (own_zoos() / name).exists())
    return str(new_own_zoo((right.text_input("Its name", free, key=f"{key}:called:{free}") or "").strip()))
