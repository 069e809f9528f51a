import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from dfml.core.errors import BadInput
from dfml.data.episodes import PseudoTask
from dfml.data.folders import load_split
from dfml.reports.privacy import privacy_report, real_pictures
from dfml.zoo import open_zoo
from dfml.zoo.build.pretrain import PretrainConfig, pretrain_zoo


def write_scenes(root, *, classes=6, per_class=60, size=32, channels=3, seed=0):
    """Class folders of smooth random pictures, all different, with a hue a class."""
    rng = np.random.default_rng(seed)
    for kind in range(classes):
        folder = root / "train" / f"kind{kind}"
        folder.mkdir(parents=True)
        for number in range(per_class):
            coarse = rng.uniform(0, 255, (6, 6, channels)) * 0.8 + 50 * rng.random(channels)
            coarse[..., kind % channels] = coarse[..., kind % channels] * 0.5 + 40
            array = coarse.clip(0, 255).astype(np.uint8)
            picture = Image.fromarray(array.squeeze(-1) if channels == 1 else array)
            picture.resize((size, size), Image.Resampling.BICUBIC).save(folder / f"{number:03d}.png")
    return root


def made_zoo(data, out):
    pretrain_zoo(data, out, ["fewshot_conv4"], PretrainConfig(models=1, way=5, epochs=1, batch=64, width=4, seed=1))
    return open_zoo(out)


@pytest.fixture(scope="module")
def colour(tmp_path_factory):
    root = tmp_path_factory.mktemp("colour")
    data = write_scenes(root / "scenes")
    return data, made_zoo(data, root / "zoo")


@pytest.fixture(scope="module")
def grey(tmp_path_factory):
    root = tmp_path_factory.mktemp("grey")
    data = write_scenes(root / "scenes", size=28, channels=1, per_class=40)
    return data, made_zoo(data, root / "zoo")


def task_of(images, way=5):
    return PseudoTask(images, torch.arange(len(images)) % way, torch.zeros(len(images), way), "000", {})


def copies(zoo, data, count, *, noise=0.03, seed=0):
    """Training pictures with slight noise, and their positions in the data set."""
    real = real_pictures(zoo, 0, data)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(real.training, count, replace=False)
    x = real.at(chosen)
    return (x + noise * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))).clamp(0, 1), chosen


def test_training_and_held_out_pictures_are_those_of_the_training_rule(colour):
    data, zoo = colour
    real, split = real_pictures(zoo, 0, data), load_split(data, "train")
    assert len(real.training) == 5 * 48 and len(real.held_out) == 5 * 12
    for c in {split.labels[p] for p in real.training}:
        members = split.members[c]
        assert set(members[:48]) <= set(real.training) and set(members[48:]) <= set(real.held_out)
    assert {split.class_names[split.labels[p]] for p in real.training} == set(zoo.card(0).classes)


@pytest.mark.stochastic
@pytest.mark.parametrize("made", ["colour", "grey"])
def test_planted_copies_are_flagged_and_the_pairs_are_the_right_ones(made, request, tmp_path, margin):
    data, zoo = request.getfixturevalue(made)
    images, chosen = copies(zoo, data, 30)
    report = privacy_report(zoo, 0, task_of(images), data)
    assert report.level == "closer" and "Closer than chance" in report.verdict
    pixels = report.spaces[0]
    assert pixels.nearest_is_training == 1
    margin.at_least("twice as near", pixels.twice_as_near, 27, null=30)
    margin.at_least("share nearer", pixels.share_nearer, 0.9, null=1)
    near, far = pixels.recovered_to_training["median"], pixels.recovered_to_held_out["median"]
    margin.at_most("distance to training pictures over others", near / far, 0.4)
    assert [p.training for p in report.pairs] == [chosen[p.recovered] for p in report.pairs]
    margin.at_most("ratio of the pairs", max(p.ratio for p in report.pairs), 0.5)
    split, channels = load_split(data, "train"), 3 if made == "colour" else 1
    assert report.pictures.shape[:3] == (8, 3, channels)
    assert torch.equal(report.pictures[:, 1], split.pictures([p.training for p in report.pairs]))
    report.save(tmp_path / "report")
    stored = json.loads((tmp_path / "report" / "privacy.json").read_text())
    assert stored["level"] == "closer" and stored["pairs"][0]["training"] == report.pairs[0].training
    with Image.open(tmp_path / "report" / "privacy-pairs.png") as sheet:
        assert sheet.mode == ("RGB" if channels == 3 else "L") and sheet.width > sheet.height


@pytest.mark.stochastic
@pytest.mark.parametrize("made", ["colour", "grey"])
def test_fresh_pictures_of_the_same_classes_are_not_flagged(made, request, tmp_path, margin):
    data, zoo = request.getfixturevalue(made)
    # Held-out pictures are set aside as if recovered; the data set keeps the others.
    real = real_pictures(zoo, 0, data)
    fresh = np.concatenate([real.held_out[1::2]])
    images = real.at(fresh)
    rest = tmp_path / "scenes"
    shutil.copytree(data, rest, ignore=shutil.ignore_patterns(".dfml-cache"))
    split = load_split(data, "train")
    for position in fresh:
        c = int(split.labels[position])
        (rest / "train" / split.class_names[c] / f"{position - split.members[c][0]:03d}.png").unlink()
    kept = len(real.held_out) - len(fresh)
    report = privacy_report(zoo, 0, task_of(images), rest, held_out=kept / (kept + len(real.training)))
    assert (report.training, report.held_out) == (len(real.training), kept)
    assert report.level in ("none", "look") and report.notes == []
    margin.at_least("p", min(space.by_chance_p for space in report.spaces), 0.01)
    low, high = report.spaces[0].nearer_than_real_ci95
    assert low < 0.5 < high


def test_one_copy_among_many_is_the_first_pair(colour):
    data, zoo = colour
    images, chosen = copies(zoo, data, 1)
    noise = torch.nn.functional.interpolate(
        torch.rand(29, 3, 6, 6, generator=torch.Generator().manual_seed(3)), 32, mode="bicubic"
    ).clamp(0, 1)
    report = privacy_report(zoo, 0, task_of(torch.cat([noise, images])), data)
    assert report.level in ("look", "closer")
    assert (report.pairs[0].recovered, report.pairs[0].training) == (29, chosen[0])


def test_mirrored_copies_of_another_size_are_found(colour):
    data, zoo = colour
    images, chosen = copies(zoo, data, 20)
    other = torch.nn.functional.interpolate(images.flip(-1), 48, mode="bilinear")
    report = privacy_report(zoo, 0, task_of(other), data)
    assert report.level == "closer"
    assert [p.training for p in report.pairs] == [chosen[p.recovered] for p in report.pairs]
    # Grey pictures of a colour data set are laid beside it all the same.
    assert privacy_report(zoo, 0, task_of(images[:, :1]), data).recovered == 20


@pytest.mark.stochastic
def test_smooth_and_collapsed_pictures_are_near_to_all_and_are_not_flagged(colour, margin):
    data, zoo = colour
    real = real_pictures(zoo, 0, data)
    mean = real.at(real.training).mean(0, keepdim=True)
    report = privacy_report(zoo, 0, task_of(mean.repeat(40, 1, 1, 1)), data)
    # Nearer to training pictures than any real picture is, and no copy of one.
    margin.at_least("nearer than real ones", report.spaces[0].nearer_than_real, 0.9, null=1)
    assert report.level == "none"


def test_the_same_seed_gives_the_same_report(colour):
    data, zoo = colour
    task = task_of(torch.rand(10, 3, 32, 32))
    first, again = (privacy_report(zoo, 0, task, data, seed=4).to_json() for _ in range(2))
    assert first == again
    assert any("fewer than 20" in note for note in first["notes"])


def test_what_cannot_be_compared_is_one_clear_line(colour, grey, patterns, tmp_path):
    data, zoo = colour
    task = task_of(torch.rand(10, 3, 32, 32))
    with pytest.raises(BadInput, match="lacks 5 of teacher"):
        privacy_report(zoo, 0, task, patterns)
    with pytest.raises(BadInput, match="is a sample"):
        privacy_report(zoo, 0, task, "sample:cifar-fs")
    with pytest.raises(BadInput, match="none, or no numbers"):
        privacy_report(zoo, 0, task_of(torch.full((5, 3, 32, 32), torch.nan)), data)
    with pytest.raises(BadInput, match="between 0 and 1"):
        privacy_report(zoo, 0, task, data, held_out=1.5)
    few = write_scenes(tmp_path / "few", per_class=5)
    with pytest.raises(BadInput, match="5 held-out images .* at least 10"):
        privacy_report(zoo, 0, task, few)


def test_a_teacher_that_does_not_say_what_trained_it_needs_the_share(colour, tmp_path):
    data, zoo = colour
    shutil.copytree(zoo.folder, tmp_path / "zoo")
    path = tmp_path / "zoo" / "000" / "dfml.json"
    details = json.loads(path.read_text())
    del details["pretraining"]
    path.write_text(json.dumps({**details, "domain": "elsewhere"}))
    task = task_of(torch.rand(10, 3, 32, 32))
    with pytest.raises(BadInput, match="does not record which images"):
        privacy_report(open_zoo(tmp_path / "zoo"), 0, task, data)
    report = privacy_report(open_zoo(tmp_path / "zoo"), 0, task, data, held_out=0.25)
    assert report.held_out == 75 and any("'elsewhere'" in note for note in report.notes)
    path.write_text(json.dumps({**details, "classes": None}))
    with pytest.raises(BadInput, match="names no classes"):
        privacy_report(open_zoo(tmp_path / "zoo"), 0, task, data, held_out=0.25)
