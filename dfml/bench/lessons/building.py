"""``bench lessons``: measures anew what the lessons of the guide show, each lesson apart."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from dfml.bench.job import Row, Say
from dfml.bench.report import machine, markdown_table
from dfml.bench.study_config import BenchConfig, Each
from dfml.core.errors import BadInput, nearest
from dfml.core.paths import ASSETS, claim_file, read_json, write_atomically, write_json
from dfml.core.remedies import PROGRAM

if TYPE_CHECKING:
    from PIL import Image

LESSONS = {
    "experts": "expert_count",
    "dreams": "dream_settings",
    "painters": "painter_race",
    "steps": "step_rates",
    "mixing": "mixed_weights",
    "conflicts": "slot_conflicts",
    "liars": "liar_axes",
    "leaks": "leak_tests",
}
"""The lessons in their order, and the file that measures each."""
NEEDS_DATA = ("leaks",)
MOST_BYTES = 1_200_000
"""Of all lessons together."""
QUALITY = 78
TABLE, TITLE = "README.md", "# What the lessons of the guide show"


class LessonsConfig(BenchConfig):
    """``bench lessons``: what is shown in the guide."""

    options = "only data zoo seed work out"
    out: Path = Field(ASSETS / "lessons", description="Folder of the lessons' files.")
    only: Each[str] | None = Field(None, description=f"Measure these anew, with commas: {','.join(LESSONS)}.")
    data: str | None = Field(
        None, description="The data set with a split train that the zoo's teachers learnt from; leaks needs it."
    )
    zoo: str = Field("cifar-fs-conv4", description="An embedded zoo with judges.")
    seed: int = Field(0, ge=0, description="Of everything that chance decides.")
    work: Path = Field(Path("runs/lessons"), description="Folder of polluted zoos, which are made once.")


def bench_lessons(config: LessonsConfig, *, progress: Say = lambda line: None) -> Row:
    """Measure what the lessons of the guide show; lessons whose file is there are left as they are.

    Each lesson is written when it is done, so the same command goes on after an interruption. No picture of a training
    set is written: recovered ones, and places in the embedded sample.

    Returns:
        ``lessons`` (name, bytes, and whether it was measured now) and the path of the ``report``.
    """
    only = config.only or ()
    for name in only:
        if name not in LESSONS:
            raise BadInput(f"unknown lesson {name!r}.{nearest(name, LESSONS)} Known: {', '.join(LESSONS)}.")
    wanted = [name for name in LESSONS if name in only or not (only or _stored(config.out, name))]
    if config.data is None and any(name in NEEDS_DATA for name in only):
        raise BadInput("leaks compares with real pictures: give --data DIR, what the teachers learnt from.")
    if config.data is None:
        wanted = [name for name in wanted if name not in NEEDS_DATA]
    _claim(config, wanted)

    from dfml.nets.device import use_threads

    use_threads()
    for name in wanted:
        progress(f"{name}: measuring")
        data, sheets = import_module(f"dfml.bench.lessons.{LESSONS[name]}").measure(config, progress)
        _write(config, name, data, sheets)
    report = _tell(config)
    rows = [
        {"lesson": name, "bytes": _size(config.out, name), "measured": name in wanted}
        for name in LESSONS
        if _stored(config.out, name)
    ]
    if (total := sum(row["bytes"] for row in rows)) > MOST_BYTES:
        progress(f"all lessons take {total:,} bytes, {MOST_BYTES:,} are allowed")
    return {"lessons": rows, "bytes": total, "report": str(report)}


def _claim(config: LessonsConfig, wanted: list[str]) -> None:
    """Refuse a folder in which another's files would be replaced."""

    def ours(path: Path) -> bool:
        try:
            return read_json(path, "lesson").get("lesson") == path.stem
        except (BadInput, AttributeError):
            return False

    claim_file(config.out / TABLE, own=lambda path: path.read_text(encoding="utf-8").startswith(TITLE))
    for name in wanted:
        claim_file(config.out / f"{name}.json", own=ours)


def command_of(config: LessonsConfig, name: str) -> str:
    """The command that measures this lesson anew, wherever its files and those of the data set lie."""
    words = [PROGRAM, "bench", "lessons", "--only", name, "--zoo", config.zoo, "--seed", str(config.seed)]
    return " ".join([*words, "--data", "DIR"] if name in NEEDS_DATA else words)


def _stored(folder: Path, name: str) -> bool:
    return (folder / f"{name}.json").is_file()


def _size(folder: Path, name: str) -> int:
    return sum(path.stat().st_size for path in (*folder.glob(f"{name}.json"), *folder.glob(f"{name}-*.webp")))


def _write(config: LessonsConfig, name: str, data: Row, sheets: dict[str, Image.Image]) -> None:
    """Write the pictures and, last, the numbers: a lesson with its JSON is whole."""
    config.out.mkdir(parents=True, exist_ok=True)
    for which, picture in sheets.items():
        write_atomically(
            config.out / f"{name}-{which}.webp",
            lambda part, picture=picture: picture.save(part, "WEBP", quality=QUALITY, method=6),
        )
    about = {
        "lesson": name,
        "command": command_of(config, name),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "seed": config.seed,
        "zoo": config.zoo,
    }
    write_json(config.out / f"{name}.json", {**about, **data})


def _tell(config: LessonsConfig) -> Path:
    rows: list[dict[str, Any]] = []
    for name in LESSONS:
        if _stored(config.out, name):
            told = read_json(config.out / f"{name}.json", f"lesson {name}")
            rows.append({**told, "bytes": _size(config.out, name), "what": told.get("what", "")})
    path = config.out / TABLE
    parts = [
        TITLE,
        f"Measured by `{PROGRAM} bench lessons --data DIR`, each lesson apart: `--only NAME` measures one anew. "
        "The pictures are recovered from teachers, none is of a training set.",
        markdown_table(
            "lesson | what was measured | seed | measured on | bytes",
            "{lesson} | {what} | {seed} | {date} | {bytes:,}",
            rows,
        ),
    ]
    write_atomically(path, lambda part: part.write_text("\n\n".join(parts) + "\n", encoding="utf-8"))
    return path
