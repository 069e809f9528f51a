"""The field for a folder of real pictures, checked before a recovery is spent on it."""

from __future__ import annotations

from dfml.core.errors import BadInput
from dfml.core.names import on_disk
from dfml.core.paths import given_path, read_json
from dfml.ui.zoo_listing import TeacherRow, ZooListing

HELP = (
    "Optional: the class-folder data set DIR/train/<class>/<picture> that the teacher was trained on. No inverter sees "
    "it; it adds the privacy report, which compares recovered pictures with training pictures."
)


def check_real_pictures(text: str, zoo: ZooListing, teacher: TeacherRow) -> str | None:
    """The folder for the privacy report, or None where the field was left empty.

    Raises:
        BadInput: It cannot serve for this teacher; one line that says why.
    """
    text = text.strip()
    if not text:
        return None
    if zoo.address:
        raise BadInput("a teacher behind a server names no classes: leave Real pictures empty.")
    if text.startswith("sample:"):
        raise BadInput(f"{text} is a sample of other classes: give the data set that teacher {teacher.id} learnt from.")
    folder = given_path(text)
    if not (folder / "train").is_dir():
        raise BadInput(f"no folder {folder / 'train'}: Real pictures wants a data set DIR/train/<class>/<picture>.")
    if not teacher.named:
        raise BadInput(f"teacher {teacher.id} names no classes: its training pictures cannot be found in {folder}.")
    train = folder / "train"
    missing = [name for name in teacher.classes if not (train / on_disk(train, name)).is_dir()]
    if missing:
        raise BadInput(
            f"{train} lacks {len(missing)} of teacher {teacher.id}'s classes, such as {missing[0]!r}: give "
            "the data set that it was trained on."
        )
    details = zoo.folder / teacher.id / "dfml.json"
    card = read_json(details, "card") if details.is_file() else None
    recipe = card.get("pretraining") if isinstance(card, dict) else None
    if not isinstance(recipe, dict) or not isinstance(recipe.get("held_out"), float):
        raise BadInput(
            f"teacher {teacher.id} does not record which pictures it was trained on, so there is nothing to compare "
            "with: leave Real pictures empty."
        )
    return str(folder)
