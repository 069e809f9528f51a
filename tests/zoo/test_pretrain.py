import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.paths import REPOSITORY
from dfml.data.folders import load_split
from dfml.nets import build_network
from dfml.zoo import open_zoo
from dfml.zoo.build import classifier as training
from dfml.zoo.build import pretrain
from dfml.zoo.build.classifier import augment
from dfml.zoo.build.pretrain import PretrainConfig, pixel_statistics, plan_teachers, pretrain_zoo, split_class

FAST = PretrainConfig(models=2, way=3, epochs=1, batch=32, width=4, flip=False, shift=0)


@pytest.mark.parametrize(("count", "train"), [(600, 480), (20, 16), (24, 19), (3, 2), (2, 1)])
def test_the_last_fifth_is_held_out(count, train):
    members = np.arange(100, 100 + count)
    kept, held = split_class(members, 0.2)
    assert kept.tolist() == list(range(100, 100 + train))
    assert held.tolist() == list(range(100 + train, 100 + count))


def test_one_picture_is_not_enough():
    with pytest.raises(BadInput, match="at least 2"):
        split_class(np.arange(1), 0.2)


def test_teachers_start_from_the_same_weights_only_where_asked(patterns, tmp_path, monkeypatch):
    first = []

    def spy(net, *_):
        first.append(net.fc.weight.detach().clone())
        return 0.5

    monkeypatch.setattr(pretrain, "train_classifier", spy)
    for same in (True, False):
        pretrain_zoo(patterns, tmp_path / f"{same}", ["fewshot_conv4"], FAST.override({"same_start": same}))
        recipe = json.loads((tmp_path / f"{same}" / "zoo.json").read_text())["recipe"]["config"]
        assert recipe.get("same_start", False) == same
    assert torch.equal(first[0], first[1]) and not torch.equal(first[2], first[3])


def test_grey_pictures_can_have_teachers_in_colour(grey_patterns, tmp_path):
    wishes = FAST.override({"models": 1, "colour": True, "size": 32})
    pretrain_zoo(grey_patterns, tmp_path / "colour", ["fewshot_conv4"], wishes)
    pretrain_zoo(grey_patterns, tmp_path / "grey", ["fewshot_conv4"], FAST.override({"models": 1}))
    card = open_zoo(tmp_path / "colour").card(0)
    assert card.input_size == (3, 32, 32) and len(set(card.mean)) == 1 and len(card.mean) == 3
    assert open_zoo(tmp_path / "grey").card(0).input_size == (1, 28, 28)
    recipes = [json.loads((tmp_path / n / "zoo.json").read_text())["recipe"]["config"] for n in ("colour", "grey")]
    assert recipes[0]["colour"] is True and "colour" not in recipes[1], "zoos from before the option have its recipe"


def test_held_out_pictures_never_train(patterns, tmp_path, monkeypatch):
    seen = {}

    def spy(net, architecture, train, held, config, generator, unfinished):
        seen["train"], seen["held"] = train, held
        return 0.5

    monkeypatch.setattr(pretrain, "train_classifier", spy)
    pretrain_zoo(patterns, tmp_path / "zoo", ["fewshot_conv4"], FAST.override({"models": 1}))
    (x, y), (hx, hy) = seen["train"], seen["held"]
    assert len(x) == 3 * 19
    assert len(hx) == 3 * 5
    assert sorted(set(hy.tolist())) == sorted(set(y.tolist())) == [0, 1, 2]
    data = load_split(patterns, "train")
    card = open_zoo(tmp_path / "zoo").card(0)
    last = data.members[data.class_names.index(card.classes[2])][-5:]
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (card.mean, card.std))
    torch.testing.assert_close(hx[-5:], (data.pictures(last) - mean) / std)


def test_the_best_epoch_is_kept_as_a_copy(monkeypatch, tmp_path):
    net = build_network("fewshot_conv4", width=4)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 3, 32, 32, generator=generator), torch.arange(40) % 5
    snapshots, scores = [], iter([0.4, 0.9, 0.2, 0.1])

    def score(network, held):
        snapshots.append({k: v.clone() for k, v in network.state_dict().items()})
        return next(scores)

    monkeypatch.setattr(training, "held_out_accuracy", score)
    config, file = FAST.override({"epochs": 4}), (tmp_path / "file", {})
    best = training.train_classifier(net, "fewshot_conv4", (x, y), (x, y), config, generator, file)
    assert best == 0.9
    final = net.state_dict()
    assert all(torch.equal(final[k], v) for k, v in snapshots[1].items())
    assert not torch.equal(final["fc.weight"], snapshots[3]["fc.weight"])
    assert not net.training


def test_the_card_tells_the_accuracy_of_the_stored_weights(tiny_zoo, patterns):
    data = load_split(patterns, "train")
    for teacher in tiny_zoo:
        hits = total = 0
        for slot, name in enumerate(teacher.card.classes):
            _, held = split_class(data.members[data.class_names.index(name)], 0.2)
            hits += int((teacher.logits(data.pictures(held)).argmax(1) == slot).sum())
            total += len(held)
        assert hits / total == pytest.approx(teacher.card.accuracy, abs=1e-3)


def test_the_same_seed_gives_the_same_bytes(patterns, tmp_path):
    for name in ("a", "b"):
        pretrain_zoo(patterns, tmp_path / name, ["fewshot_conv4", "fewshot_resnet10"], FAST)
    for model in ("000", "001"):
        weights = [(tmp_path / name / model / "model.safetensors").read_bytes() for name in ("a", "b")]
        assert weights[0] == weights[1]
    zoo = open_zoo(tmp_path / "a")
    assert [card.architecture for card in zoo.cards] == ["fewshot_conv4", "fewshot_resnet10"]
    assert [teacher.logits(torch.rand(1, 3, 32, 32)).shape for teacher in zoo] == [(1, 3)] * 2


@pytest.fixture
def cut_off(monkeypatch):
    """Keep a training after every step, and cut it off after so many of them."""
    keep = training.ClassifierTraining.keep_when_due
    steps = []
    monkeypatch.setattr(training, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(training, "LARGEST_SHARE", float("inf"))

    def after(count):
        steps.clear()

        def keep_and_end(self):
            keep(self)
            steps.append((self.epoch, self.batches))
            if len(steps) == count:
                raise KeyboardInterrupt

        monkeypatch.setattr(training.ClassifierTraining, "keep_when_due", keep_and_end)
        return steps

    return after


@pytest.mark.parametrize("architecture", ["fewshot_conv4:8", "fewshot_resnet10:4", "fewshot_vit:24"])
def test_a_teacher_that_was_cut_off_goes_on_at_its_step_to_the_same_bytes(architecture, patterns, tmp_path, cut_off):
    config = FAST.override({"models": 1, "epochs": 3, "flip": True, "shift": 2, "batch": 32})
    per_epoch = -(-3 * 19 // 32)
    pretrain_zoo(patterns, tmp_path / "whole", [architecture], config)
    for count in (per_epoch + 1, 1, per_epoch):  # within an epoch, in its first step, at an end of one
        with pytest.raises(KeyboardInterrupt):
            cut_off(count)
            pretrain_zoo(patterns, tmp_path / "cut", [architecture], config)
    steps = cut_off(0)
    pretrain_zoo(patterns, tmp_path / "cut", [architecture], config)
    assert len(steps) == 3 * per_epoch - (per_epoch + 1 + 1 + per_epoch), "no step is done twice"
    assert {path.name for path in (tmp_path / "cut").iterdir()} == {"zoo.json", "000"}
    for name in ("model.safetensors", "dfml.json"):
        assert (tmp_path / "cut" / "000" / name).read_bytes() == (tmp_path / "whole" / "000" / name).read_bytes()


@pytest.mark.parametrize("change", [{"lr": 0.01}, {"epochs": 2}])
def test_an_unfinished_training_of_another_recipe_or_damaged_is_passed_over(change, patterns, tmp_path, cut_off):
    config = FAST.override({"models": 1})
    with pytest.raises(KeyboardInterrupt):
        cut_off(1)
        pretrain_zoo(patterns, tmp_path / "zoo", ["fewshot_conv4"], config)
    (left,) = (tmp_path / "zoo").glob(".*")
    other = config.override(change)
    pretrain_zoo(patterns, tmp_path / "plain", ["fewshot_conv4"], other)
    for number, content in enumerate((left.read_bytes(), left.read_bytes()[:50])):
        out = tmp_path / str(number)
        out.mkdir()
        (out / left.name).write_bytes(content)
        data = load_split(patterns, "train")
        (plan,) = plan_teachers(data, ["fewshot_conv4"], other)
        pretrain.train_teacher(data, plan, other, out / "000", statistics=pixel_statistics(data))
        weights = [(folder / "000" / "model.safetensors").read_bytes() for folder in (out, tmp_path / "plain")]
        assert weights[0] == weights[1] and not (out / left.name).exists()


def test_a_training_is_kept_every_few_seconds_and_little_of_them_goes_into_that(monkeypatch, tmp_path):
    clock, kept = [0.0], []
    monkeypatch.setattr(training.time, "monotonic", lambda: clock[0])

    def save(path, state, about):
        kept.append(clock[0])
        clock[0] += 4.0  # so slow that it must be done less often

    monkeypatch.setattr(training, "save_checkpoint", save)
    net = torch.nn.Linear(1, 1)
    optimiser = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.ConstantLR(optimiser)
    going = training.ClassifierTraining(net, optimiser, schedule, torch.Generator(), tmp_path / "file", {})
    for _ in range(1000):
        clock[0] += 1.0
        going.keep_when_due()
    assert kept[0] == training.KEEP_SECONDS
    assert len(kept) > 5 and 4.0 * len(kept[1:]) / (clock[0] - kept[1]) <= 0.06


def test_a_stopped_run_goes_on_where_it_was(patterns, tmp_path):
    out, reports = tmp_path / "zoo", []
    pretrain_zoo(patterns, out, ["fewshot_conv4"], FAST)
    whole = (out / "001" / "model.safetensors").read_bytes()
    kept = (out / "000" / "model.safetensors").stat().st_mtime_ns
    shutil.rmtree(out / "001")
    pretrain_zoo(patterns, out, ["fewshot_conv4"], FAST, report=lambda *a: reports.append(a[:3]))
    assert reports == [(2, 2, "001")]
    assert (out / "001" / "model.safetensors").read_bytes() == whole
    assert (out / "000" / "model.safetensors").stat().st_mtime_ns == kept
    with pytest.raises(BadInput, match="another recipe"):
        pretrain_zoo(patterns, out, ["fewshot_conv4"], FAST.override({"seed": 9}))


def test_a_grey_zoo(grey_patterns, tmp_path):
    pretrain_zoo(grey_patterns, tmp_path / "zoo", ["fewshot_conv4"], FAST)
    zoo = open_zoo(tmp_path / "zoo")
    assert zoo.picture_shape == (1, 28, 28)
    assert zoo.teacher(0).logits(torch.rand(2, 3, 32, 32)).shape == (2, 3)


def test_what_cannot_be_trained_gives_one_line(patterns, tmp_path):
    with pytest.raises(BadInput, match="has 8 classes, teachers need 9"):
        pretrain_zoo(patterns, tmp_path / "zoo", ["fewshot_conv4"], FAST.override({"way": 9}))
    with pytest.raises(BadInput, match="unknown architecture"):
        pretrain_zoo(patterns, tmp_path / "zoo2", ["fewshot_conv9"], FAST)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x")
    with pytest.raises(BadInput, match=r"mine is there already .*letter\.txt"):
        pretrain_zoo(patterns, tmp_path / "mine", ["fewshot_conv4"], FAST)
    (tmp_path / "mine" / "zoo.json").write_text(json.dumps([]))
    with pytest.raises(BadInput, match="another recipe"):
        pretrain_zoo(patterns, tmp_path / "mine", ["fewshot_conv4"], FAST)


def test_plans_depend_on_seed_and_position_only(patterns):
    data = load_split(patterns, "train")
    few, many = (plan_teachers(data, ["fewshot_conv4"], FAST.override({"models": n})) for n in (2, 6))
    assert many[:2] == few
    assert all(len(set(plan.classes)) == 3 for plan in many)
    assert len({tuple(plan.classes) for plan in many}) > 1


def test_channel_statistics(patterns):
    data = load_split(patterns, "train")
    mean, std = pixel_statistics(data)
    x = data.pictures(np.arange(len(data.labels)))
    np.testing.assert_allclose(mean, x.mean((0, 2, 3)), atol=1e-3)
    np.testing.assert_allclose(std, x.std((0, 2, 3)), atol=1e-3)


def test_augmentation_moves_and_mirrors_whole_pictures():
    generator = torch.Generator().manual_seed(0)
    x = torch.arange(8 * 3 * 6 * 6, dtype=torch.float32).view(8, 3, 6, 6) + 1
    assert torch.equal(augment(x, flip=False, shift=0, generator=generator), x)
    flipped = augment(x, flip=True, shift=0, generator=generator)
    mirrored = [bool(torch.equal(a, b.flip(-1))) for a, b in zip(flipped, x, strict=True)]
    assert all(m or torch.equal(a, b) for m, a, b in zip(mirrored, flipped, x, strict=True))
    assert 0 < sum(mirrored) < 8
    moved = augment(x, flip=False, shift=2, generator=generator)
    assert moved.shape == x.shape
    for picture, original in zip(moved, x, strict=True):
        kept = picture[picture > 0]
        assert set(kept.tolist()) <= set(original.flatten().tolist())
        assert len(kept) >= 3 * 4 * 4


@pytest.mark.cuda
def test_a_teacher_answers_alike_on_the_gpu(tiny_zoo):
    teacher = tiny_zoo.teacher(0)
    x = torch.rand(8, 3, 32, 32)
    here = teacher.logits(x)
    there = teacher.to("cuda").logits(x.to("cuda")).cpu()
    torch.testing.assert_close(here, there, atol=2e-2, rtol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["fewshot_conv4", "fewshot_resnet10", "fewshot_resnet12"])
def test_training_with_two_threads_leaves_the_memory_whole(patterns, tmp_path, architecture):
    """In channels_last, narrow ResNets corrupted the heap with two threads, and the process aborted."""
    code = (
        "import sys, torch; from pathlib import Path; torch.set_num_threads(2)\n"
        "from dfml.zoo.build.pretrain import PretrainConfig, pretrain_zoo\n"
        "config = PretrainConfig(models=2, way=3, epochs=2, batch=16, width=8)\n"
        f"pretrain_zoo(Path(sys.argv[1]), Path(sys.argv[2]), ['{architecture}'], config)"
    )
    command = [sys.executable, "-c", code, str(patterns), str(tmp_path / "zoo")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-300:]
