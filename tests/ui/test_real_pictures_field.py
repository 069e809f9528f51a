import pytest

from dfml.core.errors import BadInput
from dfml.core.texts import is_address
from dfml.ui.inversion.form import check_real_pictures
from dfml.zoo.listing import TeacherRow, ZooListing


def listing(folder, *, named=True, address=""):
    names = ["bee", "can"] if named else None
    look = {"input_size": (3, 32, 32), "mean": [0.0], "std": [1.0]}
    teacher = TeacherRow(id="000", architecture="net", way=2, classes=names, **look)
    return ZooListing("zoo", folder, False, None, False, (teacher,), address=address), teacher


@pytest.fixture
def data(tmp_path):
    for name in ("bee", "can"):
        (tmp_path / "data" / "train" / name).mkdir(parents=True)
    (tmp_path / "000").mkdir()
    (tmp_path / "000" / "dfml.json").write_text('{"pretraining": {"held_out": 0.2}}', encoding="utf-8")
    return tmp_path / "data"


def test_a_data_set_with_the_teachers_classes_is_taken_and_none_is_fine(data):
    zoo, teacher = listing(data.parent)
    assert check_real_pictures(f" {data} ", zoo, teacher) == str(data)
    assert check_real_pictures("  ", zoo, teacher) is None


def test_what_cannot_serve_is_named_before_anything_is_recovered(data):
    zoo, teacher = listing(data.parent)
    with pytest.raises(BadInput, match="no folder"):
        check_real_pictures("/no/such", zoo, teacher)
    with pytest.raises(BadInput, match="sample of other classes"):
        check_real_pictures("sample:cifar-fs", zoo, teacher)
    with pytest.raises(BadInput, match="names no classes"):
        check_real_pictures(str(data), *listing(data.parent, named=False))
    with pytest.raises(BadInput, match="behind a server"):
        check_real_pictures(str(data), *listing(data.parent, address="http://127.0.0.1:8080"))
    (data / "train" / "can").rmdir()
    with pytest.raises(BadInput, match="lacks 1 of teacher 000's classes, such as 'can'"):
        check_real_pictures(str(data), zoo, teacher)


def test_a_teacher_without_a_record_of_its_training_cannot_be_compared(data):
    (data.parent / "000" / "dfml.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BadInput, match="does not record"):
        check_real_pictures(str(data), *listing(data.parent))


def test_a_servers_address_is_kept_as_it_is(tmp_path):
    zoo, _ = listing(tmp_path, address="http://127.0.0.1:8080")
    assert zoo.reference == "http://127.0.0.1:8080"
    assert is_address("HTTPS://host")
    assert not is_address("/zoos/http")
