"""docs/architecture.md names the rooms that there are, their floors, and files that exist."""

import re
from pathlib import Path

from tests.test_architecture import FLOORS, ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_every_file_and_folder_that_it_names_is_there():
    named = set(re.findall(r"`([\w./]+(?:/|\.py))`", PAGE))
    assert len(named) > 30
    for name in named:
        places = [ROOT / name, ROOT / "dfml" / name, *(ROOT / "dfml").glob(f"*/{name}")]
        assert any(place.exists() for place in places), name


def test_its_floors_are_those_that_are_checked():
    rows = re.findall(r"^\| (\d+) \| `([\w./]+)` \|", PAGE, flags=re.M)
    told = {Path(name).stem: int(floor) for floor, name in rows}
    assert told == {room: floor for room, floor in FLOORS.items() if room != "__main__"}
