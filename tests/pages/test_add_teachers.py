"""The zoo's page takes models from elsewhere as the command line does, and shows what a check found."""

import gc
import json
import os
import threading
import time

import pytest
import torch
from safetensors.torch import save
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

from dfml.cli import main
from dfml.core.errors import BadInput
from dfml.runs import zoo_work
from dfml.runs.processes import JobProcesses
from dfml.ui.zoo import model_files
from dfml.ui.zoo.add_teachers import BRINGING, Bringing
from dfml.ui.zoo.target_zoo import growing_zoos
from dfml.ui.zoo.zoo_errand import ZooErrand, checks
from dfml.zoo.build.zoo_config import new_own_zoo
from dfml.zoo.kept_checks import kept_check
from dfml.zoo.listing import read_card
from tests.pages.opening import open_page, texts
from tests.zoo.foreign_teachers import MEAN, STD, network, opened_in_this_process

SHAPE = (3, 32, 32)
STATED = {"input_size": "32", "mean": "0.5, 0.4, 0.3", "std": "0.2, 0.25, 0.3", "crop_pct": 1.0}
FLAGS = ["--size", "32", "--mean", "0.5,0.4,0.3", "--std", "0.2,0.25,0.3", "--crop", "1"]


@pytest.fixture(scope="module")
def net():
    return network("test_resnet", 0, SHAPE, num_classes=4)


@pytest.fixture(scope="module")
def checkpoint(net, tmp_path_factory):
    """A checkpoint as a training script writes it."""
    path = tmp_path_factory.mktemp("given") / "birds.pth"
    weights = {f"module.{name}": tensor for name, tensor in net.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": weights}, path)
    return path


@pytest.fixture(autouse=True)
def _here(monkeypatch, runs, tmp_path):
    """What processes of their own would do is done here: starting each takes seconds."""
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ZooErrand, "_do", lambda self: zoo_work.answer(json.dumps(self.order), lambda text: None))
    with opened_in_this_process():
        yield


def opened(**link):
    return open_page("zoo", add="true", **link)


def ended(app, errand=None):
    """The page after what is being done has ended."""
    if errand := errand or app.session_state[BRINGING].errand:
        end = time.monotonic() + 120
        while errand.outcome is None and time.monotonic() < end:
            time.sleep(0.02)
        app.run()
    assert not app.exception, app.exception[0].message
    return app


def upload(app, *files):
    app.file_uploader[0].set_value([(name, content, "") for name, content in files]).run()
    return ended(app)


def fill(app, **values):
    for name, value in values.items():
        key = f"{app.session_state[BRINGING].key}:{name}"
        kinds = (app.text_input, app.number_input, app.selectbox, app.text_area)
        (field,) = (each for kind in kinds for each in kind if each.key == key)
        field.set_value(value)
    return app


def asked(app):
    prefix = f"{app.session_state[BRINGING].key}:"
    keys = {each.key for kind in (app.text_input, app.number_input, app.selectbox) for each in kind if each.key}
    return {key.removeprefix(prefix) for key in keys if key.startswith(prefix)} & {*STATED, "key", "arch"}


def press(app, label):
    next(button for button in app.button if button.label == label).click().run()
    return ended(app)


def command_line(tmp_path, *words):
    with pytest.raises(SystemExit) as left:
        main(["zoo", "import", *map(str, words), "--out", str(tmp_path / "cli")])
    assert not left.value.code
    return tmp_path / "cli"


def test_an_uploaded_checkpoint_becomes_the_teacher_of_the_command_line(runs, tmp_path, checkpoint):
    app = upload(opened(), ("birds.pth", checkpoint.read_bytes()), ("names.txt", b"ka\nki\nku\nke"))
    assert asked(app) == set(STATED) and "test\\_resnet" in texts(app)
    assert not [
        each.value for each in app.text_input if each.key and each.key.endswith((":mean", ":std")) and each.value
    ]
    press(fill(app, **STATED, domain="birds", accuracy=50.0), "Add to zoo")
    zoo = runs / "zoos" / "my-zoo"
    (tmp_path / "names.txt").write_text("ka\nki\nku\nke")
    words = [checkpoint, *FLAGS, "--domain", "birds", "--accuracy", "0.5", "--classes", tmp_path / "names.txt"]
    theirs = command_line(tmp_path, *words)
    assert read_card(zoo / "birds") == read_card(theirs / "birds")
    assert app.selectbox(key="zoo").value == str(zoo) and "birds" in app.success[0].value
    assert not list((runs / ".uploads").glob("weights-*/*.pth")), "what is in a zoo is not kept twice"


def test_weights_with_their_config_are_asked_nothing_and_join_an_own_zoo(runs, tmp_path, net, checkpoint):
    cfg = {"input_size": list(SHAPE), "mean": MEAN, "std": STD, "crop_pct": 1.0, "num_classes": 4}
    config = {"architecture": "test_resnet", "num_classes": 4, "pretrained_cfg": cfg, "label_names": list("abcd")}
    files = {"finch.safetensors": save(net.state_dict()), "config.json": json.dumps(config).encode()}
    app = upload(opened(), *files.items())
    assert asked(app) == set()
    press(app, "Add to zoo")
    (tmp_path / "finch").mkdir()
    (tmp_path / "finch" / "model.safetensors").write_bytes(files["finch.safetensors"])
    (tmp_path / "finch" / "config.json").write_bytes(files["config.json"])
    theirs, zoo = command_line(tmp_path, tmp_path / "finch"), runs / "zoos" / "my-zoo"
    assert read_card(zoo / "finch") == read_card(theirs / "finch")
    app.segmented_control[0].set_value("path").run()
    app.text_area(key="add_path").set_value(str(checkpoint))
    press(app, "Look at it")
    press(fill(app, **STATED), "Add to zoo")
    assert json.loads((zoo / "zoo.json").read_text())["models"] == ["finch", "birds"]


@pytest.mark.parametrize("left_out", STATED)
def test_what_nobody_says_is_asked_for_and_not_assumed(runs, checkpoint, left_out):
    app = upload(opened(), ("birds.pth", checkpoint.read_bytes()))
    fill(app, **{name: value for name, value in STATED.items() if name != left_out})
    press(app, "Add to zoo")
    words = {"input_size": "size", "mean": "means", "std": "deviations", "crop_pct": "crop"}
    assert [name for name, word in words.items() if word in app.error[0].value] == [left_out]
    assert not (runs / "zoos").exists()


def test_imagenets_values_are_stated_by_a_press_alone(runs, checkpoint):
    app = upload(opened(), ("birds.pth", checkpoint.read_bytes()))
    press(app, "ImageNet's values")
    press(fill(app, input_size="32"), "Add to zoo")
    card = read_card(runs / "zoos" / "my-zoo" / "birds")
    assert card.mean == [0.485, 0.456, 0.406] and card.input_size == SHAPE


def test_an_entry_that_was_chosen_stays_chosen(runs, net, tmp_path):
    torch.save({"state_dict": net.state_dict(), "state_dict_ema": net.state_dict()}, tmp_path / "two.pth")
    app = upload(opened(), ("two.pth", (tmp_path / "two.pth").read_bytes()))
    assert asked(app) == {"key"}
    press(fill(app, key="state_dict_ema"), "Go on")
    press(fill(app, **STATED), "Add to zoo")
    assert [path.name for path in (runs / "zoos" / "my-zoo").glob("*/")] == ["two"]


def test_files_that_cannot_be_teachers_are_a_line_each_and_leave_nothing(runs, net, tmp_path):
    torch.save(net, tmp_path / "whole.pth")
    torch.jit.save(torch.jit.trace(net, torch.rand(1, *SHAPE)), tmp_path / "script.pt")
    files = [(path.name, path.read_bytes()) for path in (tmp_path / "whole.pth", tmp_path / "script.pt")]
    app = upload(opened(), *files, ("cut.safetensors", b"\xff" * 40), ("notes.md", b"x"), ("empty.pth", b""))
    said = [each.value for each in app.error]
    assert len(said) == 5 and not any("\n" in line or "weights-" in line for line in said)
    assert any("--trust-code" in line for line in said)
    assert not [button for button in app.button if button.label == "Add to zoo"] and not (runs / "zoos").exists()


@pytest.mark.parametrize(
    "name", ["../../up.pth", "/etc/x.pth", "a\\b\\..\\c.pth", "![m](http://evil/m.png).pth", ".pth"]
)
def test_names_of_files_lead_nowhere(runs, checkpoint, name):
    app = upload(opened(), (name, checkpoint.read_bytes()))
    held = [path for path in runs.rglob("*.pth")]
    assert all(path.parent.parent == runs / ".uploads" for path in held) and "evil/m" not in texts(app).replace(
        "\\", ""
    )
    assert bool(held) == (name != ".pth")
    assert not list(runs.parent.glob("*.pth"))


def test_what_was_stored_leaves_the_servers_memory(runs, checkpoint, monkeypatch):
    gone = []
    monkeypatch.setattr(MemoryUploadedFileManager, "remove_file", lambda self, session, file: gone.append(file))
    upload(opened(), ("a.pth", checkpoint.read_bytes()), ("notes.md", b"x"))
    assert len(set(gone)) == 2


def test_what_is_too_much_is_left_out(runs, monkeypatch, checkpoint):
    content = checkpoint.read_bytes()
    monkeypatch.setattr(model_files, "MOST_BYTES", 2 * len(content))
    app = upload(opened(), *[(f"{name}.pth", content) for name in "abc"])
    assert len(app.session_state[BRINGING].sources) == 2 and app.error[0].value.startswith("c.pth")
    app.session_state[BRINGING].remove("a.pth")
    assert len(ended(app).session_state[BRINGING].sources) == 1


@pytest.mark.parametrize(
    "name", ["", "..", "../out", "a/b", "/abs", ".hidden", "a\x00", "x" * 99, "cifar-fs-conv4", "there"]
)
def test_a_new_zoo_lies_below_the_runs_under_a_free_name(runs, name):
    (runs / "zoos" / "there").mkdir(parents=True)
    with pytest.raises(BadInput):
        new_own_zoo(name)
    assert new_own_zoo("mine") == runs / "zoos" / "mine"


def test_embedded_and_polluted_zoos_are_never_added_to(runs, zoo_copy, tiny_zoo_folder, tmp_path):
    import shutil

    from dfml.zoo.listing import zoo_folder

    for name in ("mine", "lies"):
        shutil.copytree(tiny_zoo_folder, runs / "zoos" / name)
    (runs / "zoos" / "lies.truth.json").write_text("{}")
    assert growing_zoos("") == growing_zoos("cifar-fs-conv4") == [str(runs / "zoos" / "mine")]
    assert growing_zoos(str(zoo_folder("cifar-fs-conv4"))) == growing_zoos("")
    assert growing_zoos(str(zoo_copy)) == [*growing_zoos(""), str(zoo_copy)]


def test_a_check_is_shown_and_kept_until_the_zoo_changes(runs, zoo_copy):
    (zoo_copy / "000" / "model.safetensors").write_bytes((zoo_copy / "001" / "model.safetensors").read_bytes())
    for name in ("000", "001"):
        card = json.loads((zoo_copy / name / "dfml.json").read_text())
        (zoo_copy / name / "dfml.json").write_text(json.dumps({k: v for k, v in card.items() if k != "sha256"}))
    app = open_page("zoo", zoo=str(zoo_copy), check="true")
    before = texts(app)
    next(button for button in app.button if button.label == "Check all teachers").click().run()
    ended(app, checks().get(zoo_copy))
    table = app.dataframe[0].value
    assert list(table["id"]) == ["001", "000", "002"] and "000" in table["findings"][0]
    assert texts(app) != before and "(001)" in texts(open_page("zoo", zoo=str(zoo_copy)))
    with pytest.raises(SystemExit) as left:
        main(["zoo", "show", str(zoo_copy)])
    assert not left.value.code and kept_check(zoo_copy)
    os.utime(zoo_copy / "002" / "config.json", (1, 1))
    assert kept_check(zoo_copy) is None


def test_a_check_with_no_data_there_is_one_line(runs, zoo_copy):
    app = open_page("zoo", zoo=str(zoo_copy), check="true")
    app.text_input(key="check_data").set_value("/no/such/folder")
    next(button for button in app.button if button.label == "Check all teachers").click().run()
    ended(app, checks()[zoo_copy])
    assert len(app.error) == 1 and kept_check(zoo_copy) is None


def test_a_check_that_goes_on_is_found_by_another_session_and_stopped_there(runs, zoo_copy, monkeypatch):
    here, gate = zoo_copy.resolve(), threading.Event()
    monkeypatch.setattr(ZooErrand, "_do", lambda self: gate.wait(120) and {"problem": "stopped"})
    monkeypatch.setattr(ZooErrand, "stop", lambda self: gate.set())
    app = open_page("zoo", zoo=str(zoo_copy), check="true")
    next(button for button in app.button if button.label == "Check all teachers").click().run()
    other = open_page("zoo", zoo=str(zoo_copy))
    assert here in checks() and "check_now" not in {button.key for button in [*app.button, *other.button]}
    next(button for button in other.button if button.key == "check:stop").click().run()
    assert gate.is_set() and here not in checks()
    assert "check:stop" not in {button.key for button in other.button}


def test_whoever_would_see_a_look_is_gone_and_with_them_the_look(monkeypatch):
    stopped, gate = threading.Event(), threading.Event()
    monkeypatch.setattr(ZooErrand, "_do", lambda self: gate.wait(120))
    monkeypatch.setattr(JobProcesses, "stop", lambda self: stopped.set())
    me = Bringing()
    me.look(["birds.pth"])
    del me
    gc.collect()
    assert stopped.wait(60)
    gate.set()


def test_the_check_of_the_command_line_is_the_one_of_the_page(zoo_copy, capsys):
    with pytest.raises(SystemExit):
        main(["zoo", "check", str(zoo_copy), "--json"])
    said, kept = json.loads(capsys.readouterr().out), kept_check(zoo_copy)
    assert kept and kept.model_dump(exclude={"when", "data", "files"}) == said and len(said["rows"]) == 3
    place = next((zoo_copy.parent / "cache" / "zoo-checks").iterdir())
    for damage in ("{", "[]", '{"rows": 3}'):
        place.write_text(damage)
        assert kept_check(zoo_copy) is None
