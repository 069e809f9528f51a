"""Where things lie, and writing that never leaves half a file behind."""

import errno
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from dfml.core.errors import BadInput, RunFailed, shown
from dfml.core.system import SYSTEM

LARGEST_JSON = 64 * 2**20
"""Bytes of a JSON file that is read; a table of results is far below."""
DEEPEST_JSON = 64
_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")

PACKAGE = Path(__file__).resolve().parents[1]
REPOSITORY = PACKAGE.parent
"""Where ``dfml`` is imported from: the top of a checkout, or the ``site-packages`` of an installation."""
INSTALLED = (PACKAGE / "studio").is_dir()
"""Whether this is an installation: ``setup.py`` puts into that folder what a checkout keeps at its top."""
STUDIO = PACKAGE / "studio" if INSTALLED else REPOSITORY
"""The folder of ``app.py``, with ``pages``, ``assets`` and ``benchmarks`` beside it; perhaps not writable."""
ASSETS = STUDIO / "assets"


def runs_root() -> Path:
    """Return the folder of all runs: ``$DFML_RUNS``, ``runs/`` in a checkout, the user's data folder else."""
    if given := os.environ.get("DFML_RUNS"):
        return Path(given)
    return user_runs() if INSTALLED else REPOSITORY / "runs"


def user_runs() -> Path:
    """Return the folder in which an installation keeps the user's runs, wherever it is started."""
    from platformdirs import user_data_path  # here, since only installations need it

    return user_data_path("dfml-studio", appauthor=False) / "runs"


def own_zoos() -> Path:
    """Return the folder of the zoos that the app has made: ``zoos`` among the runs."""
    return runs_root() / "zoos"


def cache_root() -> Path:
    """Return a folder for what can be computed again: ``$DFML_CACHE``, or ``~/.cache/dfml``."""
    return Path(os.environ.get("DFML_CACHE") or Path.home() / ".cache" / "dfml")


PLACES = "DFML_PLACES"
"""Set while a cluster's worker does somebody's work: where folders that were sent lie here, by their paths there."""


def given_path(text: str | Path) -> Path:
    """Return a path that somebody typed or put into a link; ``~`` is their home. It need not exist.

    At work for somebody on another machine (``PLACES``), a path within a folder that came from there is here its copy.

    ``BadInput``: the system cannot even look there: half a character, too long a name, a loop of links, no permission.
    """
    try:
        path = _at_its_place(Path(text).expanduser())
        os.fsencode(path)
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise BadInput(f"cannot look at {shown(str(text))}: {error.strerror}.") from None
    except (ValueError, RuntimeError):  # a NUL byte, half a character; the home of nobody
        raise BadInput(f"{shown(str(text))} is no usable path.") from None
    return path


def _at_its_place(path: Path) -> Path:
    for there, here in json.loads(os.environ.get(PLACES) or "{}").items():
        if path.is_relative_to(there):
            return Path(here) / path.relative_to(there)
    return path


def inside(folder: Path, name: str) -> Path:
    """Resolve ``name`` below ``folder``; ``BadInput`` where ``name`` is absolute or leads out of the folder."""
    base = folder.resolve()
    try:
        path = (base / name).resolve()
    except (ValueError, OSError, RuntimeError):  # a NUL byte, a name that is too long, a loop of links
        raise BadInput(f"{name!r} is not a usable name of a file.") from None
    if path != base and base not in path.parents:
        raise BadInput(f"{name!r} leads out of {folder.name!r}: give a name inside that folder.")
    return path


def claim_folder(
    folder: Path,
    *,
    own: Callable[[Path], bool] = lambda folder: False,
    kind: str = "work of this command",
    overwrite: bool | None = None,
) -> None:
    """See that a command may write into a folder: a new or empty one, or one that it wrote before. It is not made.

    ``own`` tells whether a folder's files are those of the command itself, ``kind`` what they would be; ``overwrite``
    whether the user gave ``--overwrite``, None where the command has no such option. ``BadInput``: other files lie
    there, or a file is in the way; the message says what to do.
    """
    try:
        there = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return
    except NotADirectoryError:
        if folder.exists():
            raise BadInput(f"{folder} is there already and is no {kind}, but a file: give another --out.") from None
        raise BadInput(f"no folder can be made at {folder}: a file is in the way.") from None
    except OSError as error:
        raise BadInput(f"cannot read {folder}: {error.strerror}.") from None
    if there and not overwrite and not own(folder):
        more = ", ..." if len(there) > 3 else ""
        raise BadInput(
            f"{folder} is there already with files that are no {kind} ({', '.join(there[:3])}{more}): give a new or an "
            f"empty folder as --out{'' if overwrite is None else ', or add --overwrite'}."
        )


def claim_file(path: Path, *, own: Callable[[Path], bool] = lambda path: False, overwrite: bool | None = None) -> None:
    """The same for a single file; see ``claim_folder``."""
    if path.is_dir():
        raise BadInput(f"{path} is a folder: give the name of a file as --out.")
    if (path.exists() or path.is_symlink()) and not overwrite and not own(path):
        extra = "" if overwrite is None else ", or add --overwrite"
        raise BadInput(f"{path} is there already and would be replaced: give another --out{extra}.")


@contextmanager
def filled_folder(target: Path, *, over: bool = False) -> Iterator[Path]:
    """A folder to be filled beside ``target``; renamed to it where the block ends well, removed where it fails.

    With ``over`` its files are laid over what ``target`` holds already.
    """
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        try:
            part.mkdir(parents=True)
        except (FileExistsError, NotADirectoryError):
            raise BadInput(f"no folder can be made at {target}: a file is in the way.") from None
        except OSError as error:
            raise_if_disk_full(error, target)
            raise BadInput(f"no folder can be made at {target}: {error.strerror}.") from None
        yield part
        with suppress(OSError):  # one that is there and empty: Windows renames nothing to it
            target.rmdir()
        if over and target.exists():
            shutil.copytree(part, target, dirs_exist_ok=True)
        else:
            part.replace(target)
    except Exception as error:
        raise_if_disk_full(error, target)
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a file beside ``path``, then rename it into place.

    A reader sees the old file or the new one, never a part; after a failure the old one stays. ``RunFailed``: the disk
    is full or not writable.
    """
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        part = Path(name)
        write(part)
        with part.open("rb+") as file:  # Windows syncs only what may be written
            os.fsync(file.fileno())
        part.chmod(0o644)
        SYSTEM.replace(part, path)
    except Exception as error:
        raise_if_disk_full(error, path)
        raise
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def raise_if_disk_full(error: BaseException, path: Path) -> None:
    """Turn a full or read-only disk into one clear line; let every other error pass.

    ``RunFailed``: ``error`` says that nothing more can be written.
    """
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        said = f"no space left while writing {path.name}: free some disk space"
        raise RunFailed(f"{said} and resume; the last whole copy is intact.", unkept=f"{said}.") from error
    if number in (errno.EROFS, errno.EACCES):
        raise RunFailed(f"cannot write {path.name} in {path.parent}: the folder is not writable.") from error


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Write ``value`` as JSON, atomically, with keys left in their order; long lists of whole numbers take one line."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    text = re.sub(r"\[\n\s*(-?\d+(?:,\n\s*-?\d+){20,})\n\s*\]", lambda found: f"[{' '.join(found[1].split())}]", text)
    write_atomically(path, lambda part: part.write_text(text + "\n", encoding="utf-8"))


def read_json(path: Path, what: str, *, most: int = LARGEST_JSON) -> Any:  # noqa: ANN401 - any JSON value
    """Read JSON that anybody may have written; ``what`` names it in messages; at most ``most`` bytes are read.

    ``BadInput``: the file is missing, is no file, too large, or no JSON; or its values nest deeper than
    ``DEEPEST_JSON``, or hold half a character, which nothing could show.
    """
    try:
        with open_file(path) as file:
            if os.fstat(file.fileno()).st_size > most:
                raise BadInput(f"{path} is larger than {most:,} bytes: it is not a file of this program.")
            data = file.read()
        text = data.decode("utf-8")
        value = json.loads(text)
        if _too_deep(value):
            raise ValueError("nested too deeply")
        if _HALF_CHARACTER.search(text):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except FileNotFoundError:
        raise BadInput(f"{what} not found: there is no {path.name} in {path.parent}.") from None
    except (ValueError, RecursionError) as error:  # also a number or a nesting that no honest file has
        raise BadInput(f"{path} is no valid JSON ({error}); it may be damaged or of another program.") from None
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}.") from None


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading; a pipe or a device in its place would be waited for without end.

    ``OSError``: it cannot be opened, or is no file.
    """
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no file")
    return path.open("rb")


def _too_deep(value: Any, room: int = DEEPEST_JSON) -> bool:  # noqa: ANN401 - any JSON value
    inner = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list) and (room == 0 or any(_too_deep(item, room - 1) for item in inner))
