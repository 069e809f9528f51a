"""Names, stars and notes of runs, and several runs deleted at once; what ships with the program stays as it is."""

from collections.abc import Iterable

from dfml.core.errors import BadInput, DfmlError, RunFailed
from dfml.core.paths import write_json
from dfml.core.texts import printable
from dfml.runs import launcher
from dfml.runs.folder import RunFolder, holds_run
from dfml.runs.lab.run_notes import LONGEST_NAME, LONGEST_TEXT, NOTES, RunNotes, read_notes
from dfml.runs.recorded import refuse_recorded


def annotate(
    run: RunFolder, *, label: str | None = None, star: bool | None = None, text: str | None = None
) -> RunNotes:
    """Change what is given of a run's name, star and note, and return them all; an empty name is the first one again.

    Raises:
        BadInput: The run ships with the program or is none, or a text is too long.
        RunFailed: The disk is full or not writable; what was there stays.
    """
    refuse_recorded(run.path, "changed")
    if not holds_run(run.path):
        raise BadInput(f"{run.path} is no run's folder: nothing was written.")
    if label is not None and len(label := printable(label, 4 * LONGEST_NAME)) > LONGEST_NAME:
        raise BadInput(f"a run's name has at most {LONGEST_NAME} characters; received {len(label)}.")
    if text is not None and len(text := text.strip()) > LONGEST_TEXT:
        raise BadInput(f"a note has at most {LONGEST_TEXT} characters; received {len(text)}.")
    changes = {"label": label, "star": star, "text": text}
    before = read_notes(run.path)
    notes = before.model_copy(update={name: value for name, value in changes.items() if value is not None})
    if notes != before:
        try:
            write_json(run.path / NOTES, notes.model_dump())
        except OSError as error:
            raise RunFailed(f"cannot write {NOTES} of run {run.name}: {error.strerror}.") from None
    return notes


def delete_runs(runs: Iterable[RunFolder]) -> tuple[int, list[str]]:
    """Delete runs that are not going on; return how many, and for each of the others why it stays."""
    gone, kept = 0, []
    for run in runs:
        try:
            launcher.delete(run)
            gone += 1
        except DfmlError as error:
            kept.append(str(error))
    return gone, kept
