import pytest

from dfml.bench import scenarios
from dfml.bench.scenarios import set_up
from dfml.bench.study_config import AccuracyConfig
from dfml.core.errors import BadInput
from dfml.training.new_model import zoo_statistics
from dfml.zoo import open_zoo
from dfml.zoo.build.pollute import pollution_truth
from dfml.zoo.build.pretrain import PretrainConfig, pretrain_zoo


def made(tmp_path, *, data=(), seeds=(0,), lines=None, **config):
    asked = AccuracyConfig.parse({"data": list(data), "seeds": seeds, "work": tmp_path / "work", **config})
    return set_up(asked, (lines if lines is not None else []).append)


def test_one_architecture_is_the_embedded_zoo_or_the_given_one(tiny_zoo_folder, tmp_path):
    found = made(tmp_path)
    assert found.zoos == {(None, 0): "cifar-fs-conv4"} and found.title == "cifar-fs-conv4" and not found.notes
    found = made(tmp_path, zoo=str(tiny_zoo_folder), seeds=(0, 1))
    assert found.zoos == {(None, 0): str(tiny_zoo_folder), (None, 1): str(tiny_zoo_folder)}


def test_mixed_architectures_are_counted(tiny_zoo_folder, tmp_path):
    (note,) = made(tmp_path, name="SH", zoo=str(tiny_zoo_folder)).notes
    assert note.startswith("Scenario SH: 3 teachers (3 fewshot_conv4")


def test_a_zoo_that_is_not_embedded_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(scenarios, "zoo_names", lambda: [])
    with pytest.raises(BadInput, match="SH needs .*cifar-fs-mixed.*--zoo"):
        made(tmp_path, name="SH")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "MS"}, "unknown scenario 'MS'.*Known: SS, SH, MH, polluted"),
        ({"zoo": "http://me:secret@host:80"}, "holds a password"),
        ({"name": "SS", "add": ["x"]}, "--add-zoo is for --scenario MH"),
        ({"name": "MH", "add": ["x"], "zoo": "y"}, "give one of the two"),
        ({"name": "polluted", "attack": "lies", "zoo": "cifar-fs-conv4"}, "attack"),
    ],
)
def test_wrong_wishes_are_named(config, message, tmp_path):
    with pytest.raises(BadInput, match=message):
        made(tmp_path, **config)


def test_each_rate_and_seed_has_a_polluted_zoo_that_is_made_once(tiny_zoo_folder, tmp_path):
    lines = []
    config = {"name": "polluted", "zoo": str(tiny_zoo_folder), "rates": [0, 50], "attack": "fake", "clean": 2}
    found = made(tmp_path, seeds=(0, 1), lines=lines, **config)
    assert set(found.zoos) == {(r, s) for r in (0, 50) for s in (0, 1)}
    assert len(set(found.zoos.values())) == 4 and len(lines) == 4
    assert "besides 2 honest teachers" in found.notes[0]
    for (rate, _), folder in found.zoos.items():
        kinds = list(pollution_truth(folder).values())
        assert kinds.count("clean") == 2 and kinds.count("fake") == (2 if rate else 0)
        assert len(open_zoo(folder)) == len(kinds)
    assert made(tmp_path, seeds=(0, 1), lines=lines, **config) == found and len(lines) == 4


def test_polluted_zoos_of_another_source_are_others_but_not_the_clean_ones(tiny_zoo_folder, grey_patterns, tmp_path):
    colour, grey = tmp_path / "colour", tmp_path / "grey"
    recipe = PretrainConfig(models=1, epochs=1, batch=32, width=8, flip=False)
    pretrain_zoo(grey_patterns, colour, ["fewshot_conv4"], recipe.override({"colour": True, "size": 32}))
    pretrain_zoo(grey_patterns, grey, ["fewshot_conv4"], recipe)
    config = {"name": "polluted", "zoo": str(tiny_zoo_folder), "rates": [0, 33, 60], "clean": 2}
    first, second = (made(tmp_path, **config, source=str(source)) for source in (colour, grey))
    assert first.zoos[0, 0] == second.zoos[0, 0] and first.zoos[60, 0] != second.zoos[60, 0]
    assert open_zoo(first.zoos[60, 0]).picture_shape == (3, 32, 32)
    # Teachers of the zoo's shape vote on how the meta-model normalises.
    (turned,), (_, shows) = first.remarks, second.notes
    assert (
        not second.remarks
        and turned.startswith("At 60 % most teachers deceive about their domain")
        and "give themselves away" in shows
    )
    looks = [zoo_statistics(open_zoo(first.zoos[rate, 0])) for rate in (0, 33, 60)]
    assert looks[0] == looks[1] != looks[2] == zoo_statistics(open_zoo(colour))


def test_mixed_domains_are_merged_and_what_is_missing_is_said(tiny_zoo_folder, zoo_copy, tmp_path, monkeypatch):
    monkeypatch.setattr(scenarios, "DOMAINS", {"cifar-fs": (), "patterns": (), "omniglot": ()})
    lines = []
    config = {"name": "MH", "add": [str(tiny_zoo_folder), str(zoo_copy)], "data": ["somewhere/omniglot"]}
    found = made(tmp_path, lines=lines, **config)
    assert len(open_zoo(found.zoos[None, 0])) == 6 and len(lines) == 1 and found.title == "mixed-domains"
    text = " ".join(found.notes)
    assert "6 teachers" in text and "no teacher of cifar-fs" in text
    assert made(tmp_path, lines=lines, **config) == found and len(lines) == 1


@pytest.mark.parametrize(
    ("source", "domain"),
    [("data/cifar-fs", "cifar-fs"), ("sample:omniglot", "omniglot"), ("/x/miniImageNet", "mini-imagenet")],
)
def test_a_data_sets_domain_is_known_by_its_name(source, domain):
    assert [d for d in scenarios.DOMAINS if scenarios._is_of(d, source)] == [domain]
