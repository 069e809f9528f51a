"""Bringing models into a zoo, new or there already: each whole or not at all, and named where it is left out."""

from __future__ import annotations

import filecmp
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from dfml.core.errors import BadInput, shown
from dfml.core.model_config import CONFIG
from dfml.core.names import find_name, same
from dfml.core.paths import cache_root, claim_folder, inside, raise_if_disk_full, read_json
from dfml.core.texts import for_terminal
from dfml.zoo.importing.complete import complete
from dfml.zoo.importing.drafts import Draft
from dfml.zoo.importing.reader import read_source
from dfml.zoo.importing.stating import Stated, Unsaid
from dfml.zoo.listing import DETAILS, MOST_MODELS, read_card, read_index
from dfml.zoo.zoo import write_zoo

Source = str | Path | Draft
"""A path, a name on a hub, or what was read already."""
RESERVED = ("judges", "zoo.json")
LONGEST = 200
"""Bytes of a teacher's name, which is a folder's."""


@dataclass
class Imported:
    """What came of an import: ids that were added, and one line for what a person should know, or was left out.

    ``left_out`` has by each source that was left out what has to be stated of it, see ``Unsaid``.
    """

    added: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    left_out: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)


def import_models(
    sources: Sequence[Source | tuple[Source, Stated]],
    out: Path,
    stated: Stated | None = None,
    report: Callable[[int, int, str], object] = lambda done, total, name: None,
) -> Imported:
    """Bring models into a zoo; one that is there grows.

    Programs that a file may contain are never run here: TorchScript is refused, pickles are read in a process of their
    own, as plain tensors. So uploads may come this way. Imports into one zoo take turns, in whatever process they are.

    Args:
        sources: Folders in timm's layout, files, ``hf-hub:`` and ``torchvision:`` names; each perhaps with what is
            stated of it alone.
        out: The zoo's folder.
        stated: What is stated of all.
        report: Told, before each source, how many are done, how many there are, and its name.

    Raises:
        BadInput: ``out`` is neither new nor a zoo's, or there are too many sources.
    """
    stated = stated or Stated()
    pairs = [source if isinstance(source, tuple) else (source, Stated()) for source in sources]
    with _turn(out):
        return _import(pairs, out, stated, report)


def _turn(out: Path) -> FileLock:
    """Whoever adds to a zoo reads its list first and writes it last: without turns one would lose the other's."""
    name = hashlib.sha256(os.fsencode(out.resolve())).hexdigest()[:16]
    lock = cache_root() / "zoo-locks" / f"{name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(lock)


def _import(
    pairs: Sequence[tuple[Source, Stated]], out: Path, stated: Stated, report: Callable[[int, int, str], object]
) -> Imported:
    meta: dict[str, Any] = {"name": out.resolve().name}
    models: list[Any] = []
    if (out / "zoo.json").is_file():
        read_index(out)
        meta = read_json(out / "zoo.json", "zoo")
        models = meta.pop("models")
        meta.pop("format", None)
    else:
        claim_folder(out, own=lambda folder: all(map(_as_left, folder.iterdir())))
    if len(pairs) + len(models) > MOST_MODELS:
        raise BadInput(f"{len(pairs) + len(models):,} teachers: a zoo has at most {MOST_MODELS:,}.")
    found, ready = Imported(), {}
    with _place_beside(out) as place:
        for number, (source, own) in enumerate(pairs):
            name = source.source if isinstance(source, Draft) else str(source)
            report(number, len(pairs), name)
            work = place / f"work-{number}"
            work.mkdir()
            folder: Path | None = None
            try:
                said = own.over(stated)
                draft = source if isinstance(source, Draft) else read_source(source, said, work)
                new = own.id or draft.id
                _check_id(new, [*map(str, models), *ready], out)
                folder = place / new
                notes = complete(draft, said, folder)
                if (out / new).exists():
                    _require_same(folder, out / new)
                    notes = ["an import that was cut off had brought it in already; now the zoo lists it", *notes]
                found.notes += [f"{name}: {line}" for line in notes]
                ready[new] = said
            except BadInput as error:
                if folder is not None:
                    shutil.rmtree(folder, ignore_errors=True)
                found.problems.append(_one_line(str(error), name, place, folder))
                found.left_out[name] = error.fields if isinstance(error, Unsaid) else {}
            shutil.rmtree(work, ignore_errors=True)
        cards = {new: read_card(place / new) for new in ready}
        spaces = {new: _vouched(cards[new].domain, said, meta, out) for new, said in ready.items()}
        if ready:
            out.mkdir(exist_ok=True)
            for new in ready:
                if not (out / new).exists():
                    os.replace(place / new, out / new)
            meta |= _shared(meta, models, spaces, {card.domain for card in cards.values()}, out)
            write_zoo(out, models=[*models, *ready], **meta)
            if not models:
                found.notes += _unlisted(out, ready)
    found.added = list(ready)
    return found


@contextmanager
def _place_beside(out: Path) -> Iterator[Path]:
    """A folder on the zoo's disk for what is not whole yet; removed whatever happens, as are new folders above."""
    parent = out.resolve().parent
    above = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    try:
        parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f".{out.resolve().name}.", suffix=".part", dir=parent))
    except (FileExistsError, NotADirectoryError):
        raise BadInput(f"no folder can be made at {out}: a file is in the way.") from None
    except OSError as error:
        raise_if_disk_full(error, out)
        raise
    try:
        yield place
    except OSError as error:
        raise_if_disk_full(error, out)
        raise
    finally:
        shutil.rmtree(place, ignore_errors=True)
        with suppress(OSError):  # one that is filled stays
            for folder in above:
                folder.rmdir()


def _check_id(name: str, taken: list[str], out: Path) -> None:
    """``BadInput``: a teacher cannot be called so in this zoo."""
    other = "rename it, or give another 'id' in a manifest"
    if for_terminal(name) != name or "\n" in name or len(name.encode()) > LONGEST:
        raise BadInput(f"{shown(name)} is too long or has characters that nobody sees, for a teacher's name: {other}")
    if name in RESERVED or name.startswith(".") or inside(out, name).parent != out.resolve():
        raise BadInput(f"{name!r} cannot be the name of a teacher's folder: {other}")
    if find_name(name, taken) is not None:
        raise BadInput(f"the zoo has a teacher {name!r} already: {other}")
    if (out / name).exists() and not _as_left(out / name):
        raise BadInput(f"{out / name} is there already and no model of the zoo: remove it, or {other}")


def _as_left(folder: Path) -> bool:
    """Whether a folder is as an import leaves a teacher, which moves it there whole and lists it in the end."""
    return (folder / CONFIG).is_file() and (folder / DETAILS).is_file()


def _unlisted(out: Path, listed: Collection[str]) -> list[str]:
    """A line that names what lies in a new zoo's folder and is none of its teachers, if anything does."""
    left = [path.name for path in sorted(out.iterdir()) if path.name not in (*RESERVED, *listed)]
    more = ", ..." if len(left) > 3 else ""
    return (
        [f"{out} also holds {', '.join(left[:3])}{more}, which the zoo does not list: import or remove it"]
        if left
        else []
    )


def _require_same(new: Path, there: Path) -> None:
    """``BadInput``: a folder that is there already is not what is brought in."""
    names = sorted(path.name for path in new.iterdir())
    same_names = sorted(path.name for path in there.iterdir()) == names
    if not same_names or filecmp.cmpfiles(new, there, names, shallow=False)[0] != names:
        raise BadInput(
            f"{there} is there already, no model of the zoo and another one: remove it, or give another 'id'"
        )


def _one_line(text: str, name: str, place: Path, folder: Path | None) -> str:
    """A reason that begins with the source, without the names of folders that are gone."""
    text = text.replace(f"{place}{os.sep}", "").rstrip(".")
    label = name if len(name) <= 200 else f"...{name[-197:]}"
    line = text if text.startswith(name) else f"{label}: {text}"
    return " ".join(line.splitlines()) + ("" if line.endswith("?") else ".")


def _vouched(domain: str | None, said: Stated, meta: dict[str, Any], out: Path) -> str | None:
    """Within which data set a new teacher's class names identify classes; None: nowhere."""
    return (domain or _of_all(meta, out)) if said.shared_class_names else None


def _of_all(meta: dict[str, Any], out: Path) -> str:
    return str(meta.get("domain") or meta.get("name") or out.resolve().name)


def _shared(
    meta: dict[str, Any], models: list[Any], new: dict[str, str | None], domains: set[str | None], out: Path
) -> dict[str, Any]:
    """What ``zoo.json`` says of a zoo that has grown: its domain, and for whose class names it vouches."""
    spaces: dict[str, str | None] = dict.fromkeys(map(str, models))
    if meta.get("shared_class_names"):
        kept = meta.get("name_spaces")
        table = {same(str(k)): str(v) for k, v in kept.items()} if isinstance(kept, dict) else None
        spaces = {m: _of_all(meta, out) if table is None else table.get(same(m)) for m in spaces}
    spaces |= new
    named = {m: space for m, space in spaces.items() if space is not None}
    found: dict[str, Any] = {"shared_class_names": bool(named)}
    if named and (len(named) < len(spaces) or len(set(named.values())) > 1 or "name_spaces" in meta):
        found["name_spaces"] = named
    known = domains - {None}
    if not models:
        found["domain"] = next(iter(known)) if len(known) == 1 and None not in domains else None
    elif known - {meta.get("domain")}:
        found["domain"] = None
    return found
