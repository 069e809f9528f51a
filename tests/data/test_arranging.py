"""Images of people's own: usual names of splits, nested folders, tables, and whole classes drawn into splits."""

import pytest
from PIL import Image

from dfml.core.errors import BadInput
from dfml.data.arranging import arrange
from dfml.data.class_folders import list_classes
from dfml.data.folders import load_split
from dfml.data.labelled import named_right
from dfml.data.splits import list_splits
from tests.conftest import write_patterns


def save(path, colour="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 12), colour).save(path)


@pytest.fixture
def flat(tmp_path):
    write_patterns(tmp_path / "data", {"flat": 10}, per_class=3, size=12)
    return tmp_path / "data" / "flat"


@pytest.mark.parametrize(("called", "split"), [("valid", "val"), ("Validation", "val"), ("training", "train")])
def test_splits_are_known_by_their_usual_names(tmp_path, called, split):
    save(tmp_path / called / "cat" / "a.png")
    assert list_splits(tmp_path) == [split]
    assert load_split(tmp_path, split).class_names == ["cat"]


def test_a_class_may_keep_its_images_in_a_folder_of_its_own(tmp_path):
    save(tmp_path / "cat" / "images" / "a.png")
    (tmp_path / "cat" / "boxes.txt").write_text("0 0 3 3")
    save(tmp_path / "dog" / "b.png")
    save(tmp_path / "dog" / "images" / "not-of-the-class.png")
    found = list_classes(tmp_path)
    assert {name: [path.name for path in files] for name, files in found.classes.items()} == {
        "cat": ["a.png"], "dog": ["b.png"],
    }  # fmt: skip
    told = " ".join(found.skipped)
    assert "boxes.txt" in told and "dog/images" in told and "cat/images" not in told


def test_whole_classes_are_drawn_into_splits_by_a_seed(flat, tmp_path):
    def classes(out, seed):
        arrange(flat, tmp_path / out, seed=seed)
        return {split: load_split(tmp_path / out, split).class_names for split in list_splits(tmp_path / out)}

    first, again, other = classes("a", 1), classes("b", 1), classes("c", 2)
    assert first == again != other
    assert [len(first[split]) for split in ("train", "val", "test")] == [6, 2, 2]
    assert sorted(sum(first.values(), [])) == sorted(path.name for path in flat.iterdir())
    assert len(load_split(tmp_path / "a", "train").labels) == 6 * 3


def test_a_table_tells_files_and_labels(flat, tmp_path):
    files = sorted(path.relative_to(flat.parent).as_posix() for path in flat.rglob("*.png"))[:12]
    (flat.parent / "notes.txt").write_text("no image")
    (flat.parent / "damaged.png").write_bytes(b"junk")
    rows = [f"{name},{'red' if i % 2 else 'blue'},{'train' if i < 6 else 'Valid'}" for i, name in enumerate(files)]
    rows += ["nowhere.png,red,train", "notes.txt,red,train", "damaged.png,red,train", f"{files[0]},red,elsewhere", ",,"]
    table = flat.parent / "table.csv"
    table.write_text("File, Label, Split\n" + "\n".join(rows) + "\n", encoding="utf-8-sig")
    found = arrange(table, tmp_path / "out")
    assert found["splits"] == {"train": {"classes": 2, "images": 6}, "val": {"classes": 2, "images": 6}}
    told = " ".join(found["left_out"])
    assert all(word in told for word in ("nowhere.png", "notes.txt", "damaged.png", "row 17"))
    assert load_split(tmp_path / "out", "val").class_names == ["blue", "red"]


@pytest.mark.parametrize(
    "rows",
    [
        "name,kind\na.png,cat\n",
        "file,label\n../outside.png,cat\n",
        "file,label\n/etc/hostname,cat\n",
        "file,label\n",
        "",
    ],
)
def test_an_unusable_table_leaves_nothing_half_written(tmp_path, rows):
    (tmp_path / "in").mkdir()
    save(tmp_path / "outside.png")
    (tmp_path / "in" / "table.csv").write_text(rows)
    with pytest.raises(BadInput):
        arrange(tmp_path / "in" / "table.csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_table_may_come_from_a_program_that_writes_semicolons(tmp_path):
    save(tmp_path / "a, b.png")
    (tmp_path / "table.csv").write_text("file;label;split\na, b.png;cat;train\n")
    assert arrange(tmp_path / "table.csv", tmp_path / "out")["splits"] == {"train": {"classes": 1, "images": 1}}


def test_what_would_stop_a_training_later_is_left_out_and_named(flat, tmp_path):
    whole = sorted(flat.rglob("*.png"))[0]
    large = flat / "large" / "a.png"
    save(large)
    Image.effect_noise((300, 300), 90).save(large)
    data = large.read_bytes()
    large.write_bytes(data[: len(data) // 2])
    Image.new("L", (9000, 9000)).save(whole)
    found = arrange(flat, tmp_path / "out")
    assert sum(split["images"] for split in found["splits"].values()) == 29
    assert "large/a.png" in found["left_out"][0] and whole.name in found["left_out"][0]


def test_a_folder_that_is_no_folder_of_classes_is_told_what_it_is(flat, tmp_path):
    for name in ("train", "test"):
        save(tmp_path / "split" / name / "cat" / "a.png")
    with pytest.raises(BadInput, match="train, test"):
        arrange(tmp_path / "split", tmp_path / "out")
    save(tmp_path / "loose" / "a.png")
    with pytest.raises(BadInput, match="<class>"):
        arrange(tmp_path / "loose", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("label", ["../../x", "a/b", ".hidden", "x" * 300, "Thumbs.db"])
def test_a_label_is_never_a_path(tmp_path, label):
    save(tmp_path / "a.png")
    (tmp_path / "table.csv").write_text(f"file,label,split\na.png,{label},train\na.png,fine,train\n")
    found = arrange(tmp_path / "table.csv", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "train").iterdir()] == ["fine"] and "row 2" in found["left_out"][
        0
    ]


def test_a_label_that_is_written_in_two_ways_is_one_class(tmp_path):
    """Else half of a class could be trained on and the other half be called unseen."""
    rows = ["file,label"]
    for number, label in enumerate(["\u00e9", "e\u0301", "oak", "elm"]):
        save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{label}")
    (tmp_path / "table.csv").write_text("\n".join(rows), encoding="utf-8")
    splits = arrange(tmp_path / "table.csv", tmp_path / "out")["splits"]
    assert sorted((split["classes"], split["images"]) for split in splits.values()) == [(1, 1), (1, 1), (1, 2)]


def test_names_as_long_as_a_disk_takes_are_shortened_and_longer_ones_are_missing(flat, tmp_path):
    for folder in flat.iterdir():
        save(folder / f"{'x' * 251}.png")
    found = arrange(flat, tmp_path / "out")
    assert sum(split["images"] for split in found["splits"].values()) == 40
    save(tmp_path / "a.png")
    (tmp_path / "table.csv").write_text(f"file,label,split\na.png,fine,train\n{'x' * 3000},fine,train\n")
    assert "nobody finds" in arrange(tmp_path / "table.csv", tmp_path / "two")["left_out"][0]


def test_too_few_classes_for_the_splits_are_refused(tmp_path):
    save(tmp_path / "in" / "cat" / "a.png")
    with pytest.raises(BadInput, match="too few"):
        arrange(tmp_path / "in", tmp_path / "out")
    assert arrange(tmp_path / "in", tmp_path / "out", shares=(0, 0, 100))["splits"]["test"]["images"] == 1


def test_labelled_queries_are_counted():
    names, classes = ["cat/a", "dog/b", "heap/c", "d"], ["cat", "dog"]
    said = [{"class": "cat"}, {"class": "cat"}, {"class": "dog"}, {"class": "dog"}]
    assert named_right(names, said, classes) == {"right": 1, "labelled": 2}
    assert named_right(["d"], said[:1], classes) is None
