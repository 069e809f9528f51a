"""The house rules: who may import whom, where streamlit may stand, and what may never be used."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST_FILES = 20
FLOORS = {
    "core": 0,
    "cluster": 1,
    "nets": 1,
    "data": 1,
    "zoo": 2,
    "inversion": 3,
    "reports": 4,
    "tasks": 4,
    "meta": 5,
    "training": 6,
    "methods": 7,
    "runs": 8,
    "bench": 9,
    "export": 9,
    "cli": 10,
    "api": 10,
    "__main__": 11,
    "ui": 10,
    "pages": 11,
    "app": 12,
}
SAME_SUBJECT = {
    "adaptation": "meta, pages",
    "base": "inversion, zoo/oracles",
    "form": "ui/inversion, ui/training",
    "inversion": "bench, pages",
    "metrics": "runs, ui/widgets",
    "privacy": "reports, ui/inversion",
    "similarity": "cli, tasks",
    "texts": "core, ui/widgets",
    "view": "ui/adaptation, ui/inversion, ui/training",
    "zoo": "cli, pages, zoo",
}
"""File names that recur, and where: one subject on several floors, or ``view`` and ``form`` of several pages."""
SOURCES = sorted({*ROOT.glob("dfml/**/*.py"), *ROOT.glob("pages/**/*.py"), *ROOT.glob("*.py")} - {ROOT / "setup.py"})
EVERYTHING = SOURCES + sorted(ROOT.glob("tests/**/*.py"))
OPENS_FOREIGN_FILES = "dfml/zoo/importing/unpack.py"
"""In a process of its own, with limits: it takes tensors and plain values from a pickle, and calls nothing else."""
SENDS_WORK = {"dfml/cluster/fan_out.py": {"cloudpickle"}, "dfml/cluster/node.py": {"pickle"}}
"""What a cluster's own workers are to do, as Dask sends it too: whoever is let into a cluster may do anything there."""
WITHOUT_TORCH = [
    "dfml", "dfml.core.paths", "dfml.core.config", "dfml.core.registry", "dfml.zoo", "dfml.zoo.listing",
    "dfml.runs.spec", "dfml.cli",
]  # fmt: skip


def ids(path):
    return str(path.relative_to(ROOT))


def room_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "dfml" and len(parts) > 1 else parts[0]


@cache
def nodes_of(path):
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))))


def offences(paths, rule):
    """What a rule, which yields its complaints of one file, has to say about all of them."""
    return [f"{ids(path)}: {complaint}" for path in paths for complaint in rule(path)]


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path):
    """Every module that a file imports, wherever in the file; ``from a import b`` gives ``a`` and ``a.b``."""
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def needed(path, modules):
    """Those of the modules that a file names, be it for a type only; not packages for their files."""
    for node in nodes_of(path):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in modules else node.module


def test_the_rooms_are_known():
    assert len(SOURCES) > 20
    unknown = {room_of(path) for path in SOURCES} - set(FLOORS) - {"__init__"}
    assert not unknown, f"give these rooms a floor: {unknown}"


def test_imports_go_down():
    def upward(path):
        room = room_of(path)
        for module in imports(path):
            parts = module.split(".")
            other = (
                parts[0]
                if parts[0] in ("pages", "app")
                else parts[1]
                if parts[0] == "dfml" and len(parts) > 1
                else None
            )
            if other in FLOORS and other != room and FLOORS[other] >= FLOORS.get(room, 0):
                yield f"({room}) imports {module} from above or beside it"

    assert not offences(SOURCES, upward)


def test_streamlit_stays_upstairs():
    def downstairs(path):
        if room_of(path) not in ("ui", "pages", "app"):
            yield from (m for m in imports(path) if m.split(".")[0] == "streamlit")

    assert not offences(SOURCES, downstairs)


def test_nothing_is_unpickled_or_evaluated():
    def dangerous(path):
        yield from {m.split(".")[0] for m in imports(path)} & {
            "pickle", "cPickle", "dill", "marshal", "shelve", "cloudpickle"
        } - SENDS_WORK.get(ids(path), set())  # fmt: skip
        for node in nodes_of(path):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            if name in ("eval", "exec", "compile", "__import__", "os.system"):
                yield f"{name} at line {node.lineno}"
            safely = ids(path) == OPENS_FOREIGN_FILES and name != "joblib.load"
            if name in ("torch.load", "torch.jit.load", "joblib.load", "pd.read_pickle") and not safely:
                yield f"{name} at line {node.lineno}"
            if name == "torch.load" and "weights_only=True" not in ast.unparse(node):
                yield f"{name} at line {node.lineno}, not of weights only"
            for keyword in node.keywords:
                truth = isinstance(keyword.value, ast.Constant) and keyword.value.value is True
                if keyword.arg in ("allow_pickle", "shell", "unsafe_allow_html") and truth:
                    yield f"{keyword.arg} at line {node.lineno}"

    assert not offences(SOURCES, dangerous)


def test_files_are_short_and_named_for_what_they_hold():
    def shapeless(path):
        if path.name in ("utils.py", "helpers.py", "common.py", "misc.py", "tool.py", "tools.py"):
            yield "name it for what it holds"
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > (500 if path.relative_to(ROOT).parts[0] == "tests" else 300):
            yield f"{lines} lines: split it"

    assert not offences(EVERYTHING, shapeless)


def test_no_room_holds_more_files_than_one_keeps_in_mind():
    folders = {path.parent for path in SOURCES}
    crowded = {ids(f): len(list(f.glob("*.py"))) for f in folders if len(list(f.glob("*.py"))) > MOST_FILES}
    assert not crowded


def test_a_file_name_recurs_only_for_the_same_subject():
    places = {}
    for path in SOURCES:
        if path.stem not in ("__init__", "__main__"):
            room = str(path.parent.relative_to(ROOT)).removeprefix("dfml").strip("/")
            places.setdefault(path.stem, []).append(room or ".")
    assert {name: ", ".join(sorted(rooms)) for name, rooms in places.items() if len(rooms) > 1} == SAME_SUBJECT


def test_no_imports_run_in_a_circle():
    modules = {module_of(path): path for path in SOURCES}
    needs = {name: set(needed(path, modules)) & set(modules) - {name} for name, path in modules.items()}
    # What imports nothing that is left can be built first; a circle is what never can.
    while ready := {name for name, wanted in needs.items() if not wanted}:
        needs = {name: wanted - ready for name, wanted in needs.items() if name not in ready}
    assert not needs, f"these import each other, or who does: {sorted(needs)}"


def test_no_global_seed_is_written():
    def seeding(path):
        for node in nodes_of(path):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name in ("np.random.seed", "numpy.random.seed", "random.seed", "torch.cuda.manual_seed_all"):
                    yield f"{name} at line {node.lineno}"

    assert not offences(SOURCES, seeding)


def test_one_file_starts_and_signals_processes():
    marks = re.compile(r"\bPopen\(|start_new_session|\bkillpg|\bos\.(kill|fork|posix_spawn)|raise_signal")
    found = {ids(path) for path in SOURCES if marks.search(path.read_text(encoding="utf-8"))}
    # Joblib's pools and short questions apart. One says how systems differ; the last loads the processor with programs
    # that do nothing, while waiting is measured.
    assert found == {"dfml/core/system.py", "dfml/runs/processes.py", "dfml/bench/timings.py"}


def test_one_file_knows_what_a_system_lacks():
    marks = re.compile(r"start_new_session|killpg|getpgid|getsid|pthread_kill|os\.exec|import resource|/proc/")
    assert {ids(path) for path in SOURCES if marks.search(path.read_text(encoding="utf-8"))} == {"dfml/core/system.py"}


def test_no_path_of_one_machine_is_written_down():
    marks = ("/wor" + "k/", "/roo" + "t/", "/hom" + "e/")
    kinds = {".py", ".md", ".toml", ".txt", ".json", ".cff", ".yml", ".yaml"}
    skipped = {".git", "runs", "data", "scratch", ".venv", ".venv-server", ".ruff_cache", ".pytest_cache"}
    files = [p for p in ROOT.rglob("*") if p.suffix in kinds and p.relative_to(ROOT).parts[0] not in skipped]
    files.append(ROOT / ".ci" / "run")
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not [mark for mark in marks if mark in text], ids(path)


def test_what_lists_and_orders_loads_without_torch():
    code = f"""
import importlib, sys
for module in {WITHOUT_TORCH}:
    importlib.import_module(module)
    if "torch" in sys.modules:
        sys.exit(module)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _decorated_as_fixture(function):
    decorators = (d.func if isinstance(d, ast.Call) else d for d in function.decorator_list)
    return any("fixture" in ast.unparse(d) for d in decorators)


def test_names_of_tests_are_short_and_fixtures_are_not_imported():
    """A fixture that is imported is made anew for each module that does, and nobody sees where it comes from."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [(p, n) for p in sorted(ROOT.glob("tests/**/*.py")) for n in nodes_of(p) if isinstance(n, functions)]
    names = [n.name for _, n in found if n.name.startswith("test_")]
    assert not [name for name in names if len(name) >= 80]
    fixtures = {f"{module_of(p)}.{n.name}" for p, n in found if _decorated_as_fixture(n)}
    imported = {name for path in ROOT.glob("tests/**/*.py") for name in imports(path)} & fixtures
    assert len(names) > 1000 and "tests.conftest.tiny_zoo" in fixtures and not imported
