"""The README and the docs say what is true: their commands work, their paths exist, their tables are fresh."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer

from dfml.cli.page_tables import PAGES as GENERATED
from dfml.cli.page_tables import with_fresh_tables

ROOT = Path(__file__).resolve().parents[1]
README_FILE = ROOT / "README.md"
README = README_FILE.read_text(encoding="utf-8")
PAGES = [README_FILE, *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "assets/README.md"))]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
TOUR = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^python -m dfml (.*)$", TOUR, re.MULTILINE)
DOCUMENTED = sorted(
    {
        command
        for page in PAGES
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8").replace("\\\n", " "), re.DOTALL)
        for command in re.findall(r"^python -m dfml (.*)$", block, re.MULTILINE)
        if "$" not in command  # a shell's variables are words only when they are filled in
    }
)
# What makes a command small enough for a test; options given twice take the last value.
SMALLER = {
    "invert": ["--per-class", "1", "--set", "steps=2"],
    "train": [
        "--set", "width=4", "--set", "iterations=4", "--set", "tasks=1", "--set", "query=2", "--set", "inner_steps=1",
        "--set", "warm_start=1", "--set", "candidates=1", "--set", "validation_episodes=2", "--set", "test_steps=1",
    ],
    "evaluate": ["--episodes", "1"],
}  # fmt: skip
NEEDS_MORE = ("data get", "data/cifar-fs", "onnx")


def _page(path):
    return str(path.relative_to(ROOT))


def test_the_two_commands_stand_there_word_for_word():
    for command in (
        "pip install -r requirements.txt && streamlit run app.py",
        "pip install -r requirements-dev.txt && pytest",
    ):
        assert f"```bash\n{command}\n```" in README
    assert "pip install -r requirements-dev.txt && pytest" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", list(dict.fromkeys([*COMMANDS, *DOCUMENTED])))
def test_every_command_is_understood(command):
    from dfml.cli import app
    from dfml.cli.parameters import join_numbers

    words = join_numbers(shlex.split(command), "--shots")
    if "--help" in words:
        return
    parser, name = typer.main.get_command(app), "python -m dfml"
    context = None
    while hasattr(parser, "commands"):
        context = parser.make_context(name, words[:1] + ["--"], parent=context, resilient_parsing=True)
        name, parser, words = words[0], parser.commands[words[0]], words[1:]
    parser.make_context(name, words, parent=context)


def test_the_tour_works_from_its_first_to_its_last_command(tmp_path, monkeypatch, capsys):
    from dfml.cli import main
    from dfml.methods import METHODS
    from dfml.runs.jobs import train as jobs

    monkeypatch.setenv("DFML_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DFML_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setattr(jobs, "TEST_EPISODES", 1)
    shutil.copytree(ROOT / "assets" / "support-sets", tmp_path / "assets" / "support-sets")
    monkeypatch.chdir(tmp_path)
    done = 0
    for command in COMMANDS:
        if any(word in command for word in NEEDS_MORE):
            continue
        words = shlex.split(command)
        if "--help" not in words and "--resume" not in words:
            extra = SMALLER.get(words[0], [])
            if words[0] == "train":
                known = METHODS.get(words[words.index("--method") + 1]).Config.model_fields
                pairs = [pair for pair in extra[1::2] if pair.split("=")[0] in known]
                extra = [word for pair in pairs for word in ("--set", pair)]
            words += extra
        with pytest.raises(SystemExit) as left:
            main(words)
        captured = capsys.readouterr()
        assert left.value.code == 0, f"{command}: {captured.err}"
        assert captured.out.strip(), f"{command} says nothing"
        done += 1
    assert done >= 10


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=_page)
def test_a_page_opens_with_prose_and_its_paragraphs_are_short(path):
    text = re.sub(r"^```.*?^```$", "```", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    title, opening, *_ = blocks = text.split("\n\n")
    assert re.fullmatch(r"# \S.*", title) and re.match(r"\w", opening), "a title, then what the page is for"
    for block in blocks:
        lines = block.strip("\n").splitlines()
        if not block.startswith(("|", "#", "- ", "1. ", "```", "    ", "<!--")):
            assert len(lines) <= 6, f"a paragraph of {len(lines)} lines: {lines[0]}"
        # A table's row and a link's address cannot be broken.
        assert all(len(line) <= 120 for line in lines if not line.lstrip().startswith(("|", "["))), lines[0]


@pytest.mark.parametrize("path", PAGES, ids=_page)
def test_links_lead_somewhere(path):
    for target, part in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", path.read_text(encoding="utf-8")):
        page = path.parent / target if target else path
        assert target.startswith("https://") or page.exists(), f"{_page(path)}: {target}"
        if part and page.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert part in anchors, f"{_page(path)}: {target}#{part}"


def test_every_method_inverter_and_calibrator_has_its_page():
    from dfml.inversion import INVERTERS
    from dfml.meta.calibration import CALIBRATORS
    from dfml.methods import METHODS

    for name in [*METHODS, *INVERTERS, *CALIBRATORS]:
        page = (ROOT / "docs" / "methods" / f"{name}.md").read_text(encoding="utf-8")
        sections = ["Algorithm", "Options", "Measurements", "Source"]
        assert re.findall(r"^## (.*)$", page, re.MULTILINE) == sections, name
        opening, algorithm, options, *told = re.split(r"^## .*$", page, flags=re.MULTILINE)
        assert opening.startswith(f"# {name}: ") and 2 <= len(re.findall(r"[.:](?:\s|$)", opening)), f"{name}: its use"
        box = re.search(r"^```\n(.*?)^```$", algorithm, re.MULTILINE | re.DOTALL)[1]
        lines = box.splitlines()
        assert 2 < len(lines) <= 15 and max(map(len, lines)) <= 96 and box.isascii(), f"{name}: the algorithm box"
        assert "1. " in box and lines[0].endswith(".") and not lines[1], f"{name}: opens as a docstring does"
        assert f"<!-- options: {name} -->" in options and all(part.strip() for part in told), name
        if name not in CALIBRATORS:
            assert re.search(r"^### Differences from", algorithm, re.MULTILINE), name
    overview = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert all(f"| [{name}](methods/{name}.md) |" in overview for name in [*METHODS, *INVERTERS])


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "methods").glob("*.md")), ids=_page)
def test_no_paragraph_of_a_method_page_is_long(path):
    text = re.sub(r"^```\n.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^(\||    ).*$", "", text, flags=re.MULTILINE)
    for paragraph in re.split(r"\n\s*\n|\n(?=- )", text):
        lines = paragraph.strip().splitlines()
        assert len(lines) <= 6 and all(len(line) <= 120 for line in lines), paragraph


@pytest.mark.parametrize("path", GENERATED, ids=_page)
def test_generated_tables_agree_with_the_registries_and_the_stored_results(path):
    page = path.read_text(encoding="utf-8")
    assert page == with_fresh_tables(page), "run: python -m dfml docs"


def test_the_tables_of_readme_and_docs_are_generated():
    assert {README_FILE, ROOT / "docs" / "methods.md", ROOT / "docs" / "results.md"} < set(GENERATED)
    for page in (README_FILE, ROOT / "docs" / "results.md"):
        table = re.search(r"(<!-- results: .* -->\n)(.*?)<!-- end of results -->", page.read_text("utf-8"), re.DOTALL)
        assert with_fresh_tables(table[0].replace(table[2], "")) == table[0] and table[2].count("\n") > 10


def test_the_glossary_knows_every_number_that_is_shown():
    from dfml.ui.widgets.metrics import METRICS

    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    missing = [name for name in METRICS if f"`{name}`" not in glossary and name != "inversion/l2"]
    assert not missing


def _leaves(command, path=()):
    for name, child in getattr(command, "commands", {}).items():
        if hasattr(child, "commands"):
            yield from _leaves(child, (*path, name))
        else:
            yield " ".join((*path, name))


def test_every_benchmark_and_its_result_stand_in_the_page_on_benchmarks():
    from dfml.cli import app

    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    names = [name for name in _leaves(typer.main.get_command(app)) if name.startswith("bench ")]
    missing = [name for name in [*names, "bench accuracy --protocol dro"] if f"| `{name}` |" not in page]
    assert not missing and "zoo similarity" in page
    stored = {path.stem for path in (ROOT / "benchmarks" / "results").glob("*.md")}
    told = re.findall(r"^\| `bench .*\| `([A-Za-z-]+)`", page, re.MULTILINE)
    patterns = [re.sub(r"[A-Z]+", "[A-Za-z0-9_.+-]+", name) for name in told]
    assert all(any(re.fullmatch(pattern, name) for pattern in patterns) for name in stored)


def test_the_page_on_evaluation_names_the_side_information_of_every_preset():
    from dfml.methods import METHODS

    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    lines = page.partition("## Side information")[2].partition("## ")[0].splitlines()
    rows = {cells[1].strip(): cells[2] for cells in (line.split("|") for line in lines) if len(cells) == 4}

    def who(entry):
        return set(re.findall(r"`([a-z-]+)`", next(text for name, text in rows.items() if name.startswith(entry))))

    presets = {name: [METHODS.get(name).preset(preset) for preset in ("demo", "paper")] for name in METHODS}
    for entry, option, value in (
        ("reported accuracies", "init", "best-teacher"),
        ("labelled validation pictures", "watch", "validation"),
        ("validation pictures", "keep", "best"),
        ("embedded probe", "probe", "embedded"),
    ):
        using = {name for name, configs in presets.items() if any(getattr(c, option, "") == value for c in configs)}
        assert using and using <= who(entry), entry
        others = set(METHODS) - using - {"best-teacher"}
        assert not others & who(entry), f"{entry}: no preset of these does"


def test_the_page_on_zoos_tells_what_their_cards_say():
    from statistics import fmean

    from dfml.zoo import open_zoo
    from dfml.zoo.listing import zoo_names

    page = (ROOT / "docs" / "zoos.md").read_text(encoding="utf-8")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `")]
    told = {row[0].strip("`"): row for row in cells}
    assert set(zoo_names()) <= set(told)
    for name in zoo_names():
        cards = open_zoo(name).cards
        teachers, accuracy = told[name][1], told[name][4]
        assert (teachers, accuracy) == (str(len(cards)), f"{100 * fmean(c.accuracy for c in cards):.1f} %"), name
        size = cards[0].input_size
        assert told[name][3] == f"{'colour' if size[0] == 3 else 'grey'}, {size[1]} px", name
    mixed = open_zoo("cifar-fs-mixed").cards
    families = [row for row in cells if len(row) == 5 and row[1] == "4"]
    assert len(families) == 6
    for place, (_, _, mean, lowest, _) in enumerate(families):
        of_family = [card.accuracy for card in mixed[place :: len(families)]]
        assert (mean, lowest) == (f"{100 * fmean(of_family):.1f} %", f"{100 * min(of_family):.1f} %")


def test_the_page_on_evaluation_says_what_floor_and_reference_are():
    from dfml.methods import METHODS

    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in lines]
    told = {row[0]: row[1:] for row in rows if len(row) == 3}
    learners = {
        name: [METHODS.get(name).preset(p).learner for p in ("demo", "paper")] for name in ("random", "real-data")
    }
    assert learners == {"random": ["maml", "maml"], "real-data": ["protonet", "maml"]}
    assert learners == {name: told[name] for name in learners}
    adapting = {
        (config.test_steps, config.inner_lr)
        for name in METHODS
        for config in (METHODS.get(name).preset(preset) for preset in ("demo", "paper"))
        if hasattr(config, "test_steps")
    }
    stated = re.findall(r"(\d+) gradient steps with learning rate (\d+\.\d+)", " ".join(page.split()))
    assert adapting == {(10, 0.01)} == {(int(steps), float(lr)) for steps, lr in stated}
