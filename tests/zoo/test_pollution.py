import ast
import json
import shutil
from pathlib import Path

import pytest
import torch

from dfml.core.errors import BadInput
from dfml.core.paths import REPOSITORY
from dfml.zoo import open_zoo
from dfml.zoo.build.collect import merge_zoos
from dfml.zoo.build.pollute import OTHER_DOMAIN, PollutionConfig, given_away, pollute_zoo, pollution_truth, truth_file
from dfml.zoo.build.pretrain import PretrainConfig, pretrain_zoo


@pytest.fixture(scope="module")
def foreign(grey_patterns, tmp_path_factory):
    """Two teachers of another domain, grey and 28 px."""
    out = tmp_path_factory.mktemp("zoos") / "foreign"
    config = PretrainConfig(models=2, way=5, epochs=1, batch=32, width=4, flip=False, shift=0)
    pretrain_zoo(grey_patterns, out, ["fewshot_conv4"], config)
    return open_zoo(out)


def polluted(clean, out, source=None, **options):
    pollute_zoo(clean, out, PollutionConfig(**options), source)
    return open_zoo(out)


@pytest.mark.parametrize(
    ("rate", "keep", "teachers"),
    [(0, None, 3), (0.4, None, 5), (0.4, 2, 4), (0.6, 2, 5), (0.9, 1, 10), (0.9, 3, 30), (0.2, 3, 4), (0.01, 3, 4)],
)
def test_the_rate_is_the_share_of_deceptive_teachers(tiny_zoo, tmp_path, rate, keep, teachers):
    zoo = polluted(tiny_zoo, tmp_path / "zoo", rate=rate, keep=keep, attack="fake")
    kinds = list(pollution_truth(tmp_path / "zoo").values())
    assert len(zoo) == teachers == len(kinds)
    assert kinds.count("clean") == (keep or 3) and kinds.count("fake") == teachers - (keep or 3)


def test_untrained_teachers_claim_classes_and_accuracy(tiny_zoo, tmp_path):
    zoo = polluted(tiny_zoo, tmp_path / "zoo", rate=0.7, attack="fake")
    truth = pollution_truth(tmp_path / "zoo")
    base = {name for card in tiny_zoo.cards for name in card.classes}
    known = sorted(card.accuracy for card in tiny_zoo.cards)
    honest = [teacher.net.state_dict() for teacher in tiny_zoo]
    weights = []
    for card in zoo.cards:
        net = zoo.teacher(card.id).net.state_dict()
        if truth[card.id] == "fake":
            assert set(card.classes) <= base and len(set(card.classes)) == card.way == 5
            assert card.accuracy in known[1:]
            assert net["blocks.0.1.running_mean"].abs().sum() == 0, "nothing was ever seen"
            weights.append(net["fc.weight"])
        else:
            assert any(all(torch.equal(net[k], v) for k, v in other.items()) for other in honest)
    assert len(weights) == 7 and len({w.sum().item() for w in weights}) == 7, "each has weights of its own"


def test_teachers_of_another_domain_claim_the_clean_zoo_s_classes(tiny_zoo, foreign, tmp_path):
    zoo = polluted(tiny_zoo, tmp_path / "zoo", foreign, rate=0.6, attack="ood")
    truth = pollution_truth(tmp_path / "zoo")
    lies = [card for card in zoo.cards if truth[card.id] == "ood"]
    assert len(zoo) == 8 and len(lies) == 5
    base = {name for card in tiny_zoo.cards for name in card.classes}
    own = [teacher.net.state_dict() for teacher in foreign]
    for card in lies:
        net = zoo.teacher(card.id).net.state_dict()
        assert any(all(torch.equal(net[k], v) for k, v in other.items()) for other in own)
        assert set(card.classes) <= base and len(set(card.classes)) == 5
        assert card.domain == "patterns" and card.input_size == (1, 28, 28)
        assert zoo.class_key(card, 0) in base
    assert len({tuple(card.classes) for card in lies}) == 5, "the same network tells different lies"
    assert zoo.picture_shape == (3, 28, 28), "that of most"
    assert zoo.domain == "patterns" and zoo.shared_class_names


def test_both_attacks_at_once_share_the_rate(tiny_zoo, foreign, tmp_path):
    polluted(tiny_zoo, tmp_path / "zoo", foreign, rate=0.5, attack="both")
    kinds = list(pollution_truth(tmp_path / "zoo").values())
    assert sorted(kinds) == ["clean"] * 3 + ["fake"] + ["ood"] * 2


def test_cards_ids_and_order_do_not_tell(tiny_zoo, foreign, tmp_path):
    """Cards of honest and deceptive teachers have the same fields, and the same values but for claims."""
    pollute_zoo(tiny_zoo, tmp_path / "zoo", PollutionConfig(rate=0.6, attack="both"), foreign)
    folder, kinds = tmp_path / "zoo", set()
    cards = {kind: [] for kind in ("clean", "ood", "fake")}
    for teacher, kind in pollution_truth(folder).items():
        details = json.loads((folder / teacher / "dfml.json").read_text())
        kinds.add(tuple(details))
        cards[kind].append({k: v for k, v in details.items() if k not in ("classes", "accuracy", "sha256")})
        assert sorted(p.name for p in (folder / teacher).iterdir()) == ["config.json", "dfml.json", "model.safetensors"]
        if kind == "fake":
            config = json.loads((folder / teacher / "config.json").read_text())
            assert config == json.loads((tiny_zoo.folder / "000" / "config.json").read_text())
    assert len(kinds) == 1 and not {"seed", "pretraining"} & set(*kinds)
    assert all(card == cards["clean"][0] for found in cards.values() for card in found)
    meta = json.loads((folder / "zoo.json").read_text())
    assert set(meta) == {"format", "name", "domain", "shared_class_names", "models"}
    assert meta["models"] == [f"{i:03d}" for i in range(8)]
    orders = set()
    for seed in range(6):
        pollute_zoo(tiny_zoo, tmp_path / f"s{seed}", PollutionConfig(rate=0.6, attack="fake", seed=seed))
        orders.add(tuple(pollution_truth(tmp_path / f"s{seed}").values()))
    assert len(orders) > 1, "places are drawn"


def test_the_truth_lies_outside_the_zoo_and_no_method_reads_it(tiny_zoo, tmp_path):
    pollute_zoo(tiny_zoo, tmp_path / "zoo", PollutionConfig(attack="fake"))
    assert truth_file(tmp_path / "zoo") == tmp_path / "zoo.truth.json"
    assert not [p for p in (tmp_path / "zoo").rglob("*") if "truth" in p.name]
    cards = open_zoo(tmp_path / "zoo").cards
    truth_file(tmp_path / "zoo").unlink()
    assert open_zoo(tmp_path / "zoo").cards == cards
    with pytest.raises(BadInput, match=r"the truth about zoo 'zoo' not found: there is no zoo\.truth\.json"):
        pollution_truth(tmp_path / "zoo")
    ui = REPOSITORY / "dfml" / "ui"
    told = [str(p.relative_to(ui)) for p in ui.rglob("*.py") if "truth.json" in p.read_text()]
    assert told == ["zoo/polluting.py"], "the page shows it, once asked"
    for room in ("inversion", "reports", "tasks", "meta", "training", "methods", "runs"):
        for path in (REPOSITORY / "dfml" / room).rglob("*.py"):
            words = {n.module for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)}
            assert "dfml.zoo.build.pollute" not in words and "truth.json" not in path.read_text(), path


def test_the_same_seed_gives_the_same_bytes_and_the_same_clean_teachers(tiny_zoo, foreign, tmp_path):
    def content(folder):
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    for name in ("a/zoo", "b/zoo"):
        pollute_zoo(tiny_zoo, tmp_path / name, PollutionConfig(rate=0.5, attack="both", seed=3), foreign)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    kept = set()
    for rate in (0, 0.2, 0.4):
        folder = tmp_path / f"r{rate}"
        truth = pollute_zoo(tiny_zoo, folder, PollutionConfig(rate=rate, attack="fake", keep=2, seed=3))
        kept.add(tuple(sorted(row["origin"] for row in truth["teachers"] if row["kind"] == "clean")))
    assert len(kept) == 1


def test_what_cannot_be_polluted_gives_one_line_and_leaves_nothing(tiny_zoo, zoo_copy, foreign, tmp_path):
    def refused(says, clean=tiny_zoo, source=None, out="new", **options):
        with pytest.raises(BadInput, match=says) as caught:
            pollute_zoo(clean, tmp_path / out, PollutionConfig.parse(options), source)
        assert "\n" not in str(caught.value)

    before = sorted(p.name for p in tmp_path.iterdir())
    refused("rate", rate=1)
    refused("rate", rate=-0.1)
    refused("attack", attack="theft")
    refused("cannot keep 4", keep=4, attack="fake")
    refused("give a zoo of them with --source")
    refused("same domain", source=tiny_zoo)
    refused("at most 10000", rate=0.9999, attack="fake")
    refused("is there already", out="zoo", attack="fake")
    card = zoo_copy / "001" / "dfml.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "accuracy": None}))
    refused("nothing to lie about", clean=open_zoo(zoo_copy), attack="fake")
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_failure_in_the_middle_leaves_no_half_zoo(tiny_zoo, tmp_path, monkeypatch):
    from dfml.zoo.build import pollute as pollution

    def break_down(folder, seed):
        raise KeyboardInterrupt

    (tmp_path / ".zoo.part").mkdir()
    monkeypatch.setattr(pollution, "_forget", break_down)
    with pytest.raises(KeyboardInterrupt):
        pollute_zoo(tiny_zoo, tmp_path / "zoo", PollutionConfig(attack="fake"))
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    pollute_zoo(tiny_zoo, tmp_path / "zoo", PollutionConfig(attack="fake"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["zoo", "zoo.truth.json"]


def test_unusable_clean_teachers_are_left_out(zoo_copy, tmp_path):
    (zoo_copy / "001" / "model.safetensors").write_bytes(b"no weights")
    zoo = polluted(open_zoo(zoo_copy), tmp_path / "new", rate=0.5, attack="fake")
    assert len(zoo) == 4 and len(zoo.check()) == 4


def test_a_merged_zoo_can_be_polluted(tiny_zoo, foreign, tmp_path):
    merge_zoos([tiny_zoo, foreign], tmp_path / "both")
    clean = open_zoo(tmp_path / "both")
    zoo = polluted(clean, tmp_path / "zoo", rate=0.5, attack="fake")
    keys = {key for found in clean.class_keys().values() for key in found}
    assert {key for found in zoo.class_keys().values() for key in found} <= keys


def test_the_command_line(tiny_zoo_folder, foreign, tmp_path):
    from typer.testing import CliRunner

    from dfml.cli import app

    words = ["zoo", "pollute", str(tiny_zoo_folder), "--rate", "0.5", "--attack", "both", "--json"]
    called = CliRunner().invoke(app, [*words, "--source", str(foreign.folder), "--out", str(tmp_path / "zoo")])
    told = json.loads(called.stdout.splitlines()[-1])
    assert (told["teachers"], told["clean"], told["ood"], told["fake"]) == (6, 3, 2, 1)
    assert Path(told["truth"]).is_file() and told["config"]["rate"] == 0.5
    shutil.rmtree(told["zoo"])
    again = CliRunner().invoke(app, [*words, "--source", str(foreign.folder), "--out", str(tmp_path / "zoo")])
    assert again.exit_code == 0, "a truth that is left alone does not stand in the way"
    assert "take images of 1x28x28, those of tiny of 3x32x32: they give themselves away" in again.stderr


def test_the_embedded_other_domain_does_not_show():
    clean, source = open_zoo("cifar-fs-conv4"), open_zoo(OTHER_DOMAIN)
    assert given_away(clean, source) is None and source.domain != clean.domain
    assert {card.input_size for card in source.cards} == {card.input_size for card in clean.cards}
    nets = [zoo.weights_of(i).net for zoo in (clean, source) for i in (0, len(zoo) - 1)]
    shapes = [{name: tensor.shape for name, tensor in net.state_dict().items()} for net in nets]
    assert all(found == shapes[0] for found in shapes), "methods that fuse weights can be measured, too"
