"""Ten classifiers kept as people keep theirs come in with the options that a table in docs/zoos.md calls unknown."""

import json

import pytest
import torch

from dfml.cli import main
from dfml.core.paths import REPOSITORY
from dfml.zoo import open_zoo
from dfml.zoo.build.collect import merge_zoos
from dfml.zoo.importing.importer import import_models
from dfml.zoo.importing.reader import read_source
from dfml.zoo.importing.script import read_script
from dfml.zoo.importing.stating import Stated
from dfml.zoo.oracles.asking import AskingConfig
from dfml.zoo.oracles.choose import make_oracle
from tests.zoo import foreign_teachers

CLOSE = 1e-5


def table():
    """By kind of file what the docs' table says of each option."""
    lines = (REPOSITORY / "docs" / "zoos.md").read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| kind of file"))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:]]
    rows = rows[: next(i for i, row in enumerate(rows) if len(row) < 2)]
    options = [cell.strip("`") for cell in rows[0][1:]]
    return {row[0]: dict(zip(options, row[1:], strict=True)) for row in rows[2:]}


TABLE = table()


def stated(foreign, *, without=None):
    wanted = [o for o, said in TABLE[foreign.kind].items() if said == "unknown" and o != without]
    return Stated.read({option[2:].replace("-", "_"): foreign.true[option] for option in wanted})


@pytest.fixture(scope="module")
def ten(tmp_path_factory):
    """The ten, and one draft of each, read with all that has to be stated."""
    pytest.importorskip("onnxruntime")
    return foreign_teachers.make(tmp_path_factory.mktemp("foreign"))


@pytest.fixture(scope="module")
def drafts(ten, tmp_path_factory):
    def read(foreign):
        work = tmp_path_factory.mktemp("work")
        if "TorchScript" in foreign.kind:
            return read_script(foreign.path, work)
        return read_source(foreign.path, stated(foreign), work)

    with foreign_teachers.opened_in_this_process():
        return {foreign.kind: read(foreign) for foreign in ten}


def test_the_table_tells_of_every_kind(ten):
    assert [foreign.kind for foreign in ten] == list(TABLE)
    assert {said for row in TABLE.values() for said in row.values()} == {"stated", "derivable", "unknown"}
    families = {foreign.arch.removeprefix("torchvision_").rstrip("_0125.x").removeprefix("test_") for foreign in ten}
    assert len(families) >= 8


def test_each_comes_in_with_what_the_table_calls_unknown(ten, drafts, tmp_path):
    given = [(drafts[foreign.kind], stated(foreign)) for foreign in ten]
    found = import_models(given, tmp_path / "zoo")
    assert found.problems == [] and len(found.added) == len(ten)
    zoo = open_zoo(tmp_path / "zoo")
    assert len(zoo.check()) == len(ten)
    for foreign, card in zip(ten, zoo.cards, strict=True):
        x = torch.rand(3, *foreign.shape)
        mean, std = (
            torch.tensor(v[: foreign.shape[0]]).view(-1, 1, 1) for v in (foreign_teachers.MEAN, foreign_teachers.STD)
        )
        with torch.no_grad():
            theirs = foreign.net((x - mean) / std)
            logits = zoo.api(card.id).ask(x)
        assert (logits - theirs).abs().max() < CLOSE, foreign.kind
        assert card.architecture == foreign.arch and card.input_size == foreign.shape
    assert zoo.card("grey").classes == ["ka", "ki", "ku", "ke", "ko"]
    assert zoo.card("thousand").way == 1000
    assert zoo.card("graph").access == "queries" and zoo.only_asked == ["graph"]


def test_a_teacher_in_a_graph_is_asked_and_merged(ten, drafts, tmp_path):
    given = [(drafts[each.kind], stated(each)) for each in ten if each.kind in ("timm folder", "`.onnx`")]
    import_models(given, tmp_path / "zoo")
    zoo = open_zoo(tmp_path / "zoo")
    asking = AskingConfig(q=2)
    drawn = torch.Generator().manual_seed(0)
    oracle = make_oracle(zoo, "graph", asking, generator=drawn, device=torch.device("cpu"))
    found = oracle.loss_and_grad(torch.rand(2, 3, 64, 64), lambda logits, x: logits[:, 0])
    assert oracle.queries == 6 and found.grad.abs().sum() > 0 and not oracle.gives_statistics
    assert [teacher.card.id for teacher in zoo.usable()] == ["grey"] and zoo.ids == ["grey", "graph"]
    models, problems = merge_zoos([zoo, open_zoo("omniglot-conv4")], tmp_path / "merged")
    assert "zoo-graph" in models and not problems
    (tmp_path / "merged" / "zoo-graph" / "model.onnx").write_bytes(b"broken")
    merged = open_zoo(tmp_path / "merged")
    merged.ask_all()
    assert list(merged.problems) == ["zoo-graph"] and "zoo-graph" not in merged.ids


def cases():
    return [(kind, option) for kind, row in TABLE.items() for option, said in row.items() if said == "unknown"]


@pytest.mark.parametrize(("kind", "option"), cases())
def test_leaving_one_out_is_refused_by_its_name(ten, drafts, opened_here, tmp_path, kind, option):
    foreign = next(each for each in ten if each.kind == kind)
    source = foreign.path if option == "--key" else drafts[kind]
    found = import_models([(source, stated(foreign, without=option))], tmp_path / "zoo")
    assert found.added == [] and option in found.problems[0]
    others = {other for other in TABLE[kind] if other != option and other in found.problems[0].split()}
    assert not others and not list(tmp_path.iterdir())


def test_only_the_command_line_can_open_code():
    files = [path for path in (REPOSITORY / "dfml").rglob("*.py") if "importing.script" in path.read_text("utf-8")]
    assert [path.relative_to(REPOSITORY).as_posix() for path in files] == ["dfml/cli/importing.py"]


def test_the_command_line_opens_files_in_a_process_of_their_own(ten, tmp_path, capsys):
    foreign = next(each for each in ten if each.kind == "`.pth`, the weights alone")
    script = next(each for each in ten if "TorchScript" in each.kind)
    words = ["zoo", "import", str(foreign.path), str(script.path), "--out", str(tmp_path / "zoo"), "--json"]
    for option in ("--mean", "--std", "--size", "--crop"):
        words += [option, foreign.true[option]]
    words += ["--accuracy", "0.5", "--domain", "birds", "--licence", "mine", "--shared-class-names"]
    with pytest.raises(SystemExit) as left:
        main(words)
    said = json.loads(capsys.readouterr().out)
    assert not left.value.code and said["added"] == ["squeezed"] and "--trust-code" in said["problems"][0]
    card = open_zoo(tmp_path / "zoo").card("squeezed")
    assert (card.accuracy, card.domain, card.licence, card.source) == (0.5, "birds", "mine", "squeezed.pth")
    words[2:4] = [str(script.path), "--trust-code"]
    with pytest.raises(SystemExit) as left:
        main(words)
    assert not left.value.code and open_zoo(tmp_path / "zoo").ids == ["squeezed", "traced"]
