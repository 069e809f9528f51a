"""Images of people's own brought into ``DIR/{train,val,test}/<class>/<image>``: from one flat folder, or from a table.

What is classified at test must be classes that no teacher has seen, so that whole classes go into one split.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from dfml.core.errors import BadInput
from dfml.core.names import same
from dfml.core.paths import claim_folder, filled_folder, inside
from dfml.core.texts import printable
from dfml.data.class_folders import QUIET, counted, list_classes
from dfml.data.pictures import ENDINGS, KINDS, open_picture
from dfml.data.splits import SPLITS, list_splits, split_called

MOST_ROWS = 5_000_000
"""Rows of a table."""
FILES = ("file", "filename", "path", "image", "picture")
LABELS = ("label", "class", "category", "target")
LONGEST = 200
"""Bytes of a label, and of an image's name, of which a longer one loses all but its ending."""
Images = dict[str, list[Path]]


def arrange(source: Path, out: Path, *, shares: tuple[int, int, int] = (60, 20, 20), seed: int = 0) -> dict[str, Any]:
    """Write ``OUT/{train,val,test}/<class>/<image>`` with links to the images, or copies where links cannot be.

    Args:
        source: A folder ``<class>/<image>``, or a CSV file with a column of files (beside or below it), one of labels,
            and perhaps one called ``split``, which then decides.
        out: Must not exist yet, or be empty.
        shares: Per cent of the classes in train, val and test; together 100.
        seed: Draws which classes go where.

    Returns:
        Classes and images of each split, and what was left out, one line a reason.

    Raises:
        BadInput: There is no such folder or table, it has no usable image, or a split would have no class.
    """
    if min(shares) < 0 or sum(shares) != 100:
        raise BadInput(
            f"--shares are per cent of train, val and test that make 100, such as 60,20,20; received {shares}."
        )
    claim_folder(out)
    told: list[str] = []
    by_table = source.is_file()
    splits = _of_table(source, told) if by_table else {"": _of_folder(source, told)}
    splits = {split: _usable(classes, told) for split, classes in splits.items()}
    if not any(splits.values()):
        why = f" Left out: {told[0]}." if told else ""
        expected = "rows with a file and a label" if by_table else "DIR/<class>/<image>"
        raise BadInput(f"{source} holds no usable image ({KINDS}), expected {expected}.{why}")
    if set(splits) == {""}:
        splits = _drawn(splits[""], shares, seed, str(source))
    with filled_folder(out) as part:
        for split, classes in splits.items():
            for name, files in classes.items():
                _fill(part / split / name, files)
    sizes = {s: {"classes": len(c), "images": sum(map(len, c.values()))} for s, c in splits.items()}
    return {"out": str(out), "splits": sizes, "left_out": told}


def _of_folder(folder: Path, told: list[str]) -> Images:
    if not folder.is_dir():
        raise BadInput(
            f"no folder and no table at {folder}: expected DIR/<class>/<image>, or a CSV of files and labels."
        )
    if (splits := list_splits(folder)) != ["all"]:
        raise BadInput(f"{folder} has splits already ({', '.join(splits)}): it can be used as it is.")
    found = list_classes(folder)
    told += found.skipped
    return found.classes


def _of_table(table: Path, told: list[str]) -> dict[str, Images]:
    """The files of a table by split (empty where it names none) and label."""
    splits: dict[str, Images] = {}
    odd, missing = [], []
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            file.seek(0)
            rows = csv.DictReader(file, delimiter=max(",;\t", key=head.count), skipinitialspace=True)
            names = {str(name).strip().lower(): name for name in rows.fieldnames or ()}
            which, label = (next((names[n] for n in known if n in names), None) for known in (FILES, LABELS))
            if which is None or label is None:
                raise BadInput(
                    f"{table.name} has the columns {', '.join(map(printable, names)) or 'none'}: one must be called "
                    f"{' or '.join(FILES)}, one {' or '.join(LABELS)}."
                )
            for number, row in enumerate(rows):
                if number >= MOST_ROWS:
                    raise BadInput(f"{table.name} has more than {MOST_ROWS:,} rows.")
                given, name = (row.get(which) or "").strip(), same((row.get(label) or "").strip())
                split = split_called((row.get(names["split"]) or "").strip()) if "split" in names else ""
                if not given or split is None or not _is_name(name):
                    odd.append(f"row {number + 2}")
                    continue
                path = inside(table.parent, given)
                if not os.path.isfile(path):  # which tells of a name that is too long as of any other
                    missing.append(given)
                    continue
                splits.setdefault(split, {}).setdefault(name, []).append(path)
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadInput(f"{table.name} is no table of files and labels: {error}.") from None
    told += [counted(odd, "row{s} without a file, a label or a known split")] if odd else []
    told += [counted(missing, "file{s} that the table names and nobody finds")] if missing else []
    return splits or {"": {}}


def _is_name(name: str) -> bool:
    """Whether a label can be the name of a folder, and one that is not passed over."""
    usable = bool(name) and not name.startswith(".") and name.lower() not in QUIET
    return usable and not set(name) & set('/\\:*?"<>|\0') and len(name.encode()) <= LONGEST


def _usable(classes: Images, told: list[str]) -> Images:
    """The images that can be read, to their last pixel; the others are told."""
    other, bad, kept = [], [], {}
    for name, files in classes.items():
        for path in files:
            if path.suffix.lower() not in ENDINGS:
                other.append(f"{name}/{path.name}")
                continue
            try:
                open_picture(path)
            except BadInput:
                bad.append(f"{name}/{path.name}")
                continue
            kept.setdefault(name, []).append(path)
    told += [counted(other, f"file{{s}} that {{are}} no image{{s}} ({KINDS} are read)")] if other else []
    told += [counted(bad, "image{s} that cannot be read")] if bad else []
    return kept


def _drawn(classes: Images, shares: tuple[int, int, int], seed: int, source: str) -> dict[str, Images]:
    """Whole classes for each split, by a seed; each that has a share gets one class at least."""
    names, wanted = sorted(classes), [(split, share) for split, share in zip(SPLITS, shares, strict=True) if share]
    if len(names) < len(wanted):
        raise BadInput(f"{source} has {len(names)} classes, too few for {len(wanted)} splits of whole classes.")
    Random(seed).shuffle(names)
    counts = [max(1, round(len(names) * share / 100)) for _, share in wanted]
    while sum(counts) != len(names):
        step = 1 if sum(counts) < len(names) else -1
        counts[counts.index(max(counts))] += step
    parts = iter(names)
    return {
        split: {name: classes[name] for name in sorted(next(parts) for _ in range(count))}
        for (split, _), count in zip(wanted, counts, strict=True)
    }


def _fill(folder: Path, files: Iterable[Path]) -> None:
    folder.mkdir(parents=True)
    for number, path in enumerate(files):
        # By number: files of several folders may share a name.
        name = f"-{path.name}" if len(os.fsencode(path.name)) <= LONGEST else path.suffix
        target = folder / f"{number:05d}{name}"
        with suppress(OSError):
            os.link(path.resolve(), target)
            continue
        shutil.copyfile(path, target)
