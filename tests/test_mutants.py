"""The list of faults fits the code as it is; that its tests find them is told by ``tests/mutants/check.py``."""

import ast
import shutil
import threading
from functools import cache

import pytest

from dfml.methods import METHODS
from tests.mutants import check
from tests.mutants.check import DULL, KILLED, NOT_FOUND, ROOT, SURVIVED, Fault, read_faults

LEAST_FAULTS, LEAST_SEAMS = 150, 1 / 3
"""Faults, and the share of them at seams."""
LEAST_OF_A_METHOD = 10
"""Of each method that has a paper."""
PUBLISHED = [name for name in METHODS.names() if METHODS.get(name).papers]
FAULTS = read_faults()
TESTS = sorted({test for fault in FAULTS for test in fault.tests})
ROOMS = {path.parent.name for path in (ROOT / "dfml").glob("*/__init__.py")}


@cache
def tree(name):
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), filename=name)


def test_there_are_enough_and_no_room_is_left_out():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= LEAST_FAULTS
    assert sum(fault.seam for fault in FAULTS) >= LEAST_SEAMS * len(FAULTS)
    assert len(ROOMS) > 5 and ROOMS <= {fault.file.split("/")[1] for fault in FAULTS if fault.file.startswith("dfml/")}
    assert any(fault.file.startswith("pages/") for fault in FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_takes_the_place_of_one_line_and_changes_what_the_code_says(fault):
    assert fault.before == fault.before.strip() and fault.after == fault.after.strip()
    assert "\n" not in fault.before + fault.after and 1 <= len(fault.tests) <= 2
    faulty = fault.applied((ROOT / fault.file).read_text(encoding="utf-8"))
    assert faulty is not None, "the line does not stand there exactly once"
    assert ast.dump(ast.parse(faulty)) != ast.dump(tree(fault.file))


@pytest.mark.parametrize("method", PUBLISHED)
def test_each_method_has_its_faults(method):
    assert sum(fault.whose == method for fault in FAULTS) >= LEAST_OF_A_METHOD
    assert {fault.whose for fault in FAULTS} <= {"", *METHODS.names(), "baselines"}


@pytest.fixture
def runner(tmp_path, monkeypatch):
    """A checkout of two files, whose tests fail by what stands in the first."""
    (tmp_path / "code.py").write_text("a = 1\nb = 2\nc = 3\n")
    (tmp_path / "tests.py").write_text("# found by hand\n")
    faults = [
        Fault(line[0], "code.py", line, line.replace("= ", "= -"), ("tests.py::t",)) for line in ("a = 1", "b = 2")
    ]
    seen = []

    def copy(folder):
        return shutil.copytree(tmp_path, folder, ignore=shutil.ignore_patterns("kept"))

    def run(folder, tests, limit):
        text = (folder / "code.py").read_text()
        seen.append(text)
        return int("-1" in text or "0" in text), ""

    monkeypatch.setattr(check, "ROOT", tmp_path)
    monkeypatch.setattr(check, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(check, "read_faults", lambda: list(faults))
    monkeypatch.setattr(check, "copy_checkout", copy)
    monkeypatch.setattr(check, "run_tests", run)
    monkeypatch.setattr(check, "passed_before", lambda *args: set())
    return tmp_path, faults, seen


def test_results_are_kept_while_file_lines_and_tests_stay(runner, capsys):
    root, faults, seen = runner
    assert check.main([]) == 1 and len(seen) == 4 and f"{SURVIVED}: b" in capsys.readouterr().out
    assert (root / "code.py").read_text() == "a = 1\nb = 2\nc = 3\n"
    assert check.main([]) == 1 and len(seen) == 4
    assert check.main(["--only", "a"]) == 0 and len(seen) == 4
    (root / "tests.py").write_text("# other tests\n")
    check.main(["--only", "A"])
    assert len(seen) == 6
    assert check.main(["--again"]) == 1 and len(seen) == 10
    faults[1] = Fault(**{**vars(faults[1]), "after": "b = -1"})
    assert check.main([]) == 0 and len(seen) == 12


def test_results_are_kept_while_program_and_helpers_stay_but_not_tests_of_others(runner):
    root, _, seen = runner

    def looked(name, text):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
        before = len(seen)
        check.main(["--only", "a"])
        return len(seen) - before

    assert looked("dfml/room/other.py", "x = 1\n") == 2 and looked("dfml/room/other.py", "x = 1\n") == 0
    assert looked("dfml/room/other.py", "x = 2\n") == 2 and looked("dfml/room/data.json", "{}") == 2
    assert looked("tests/conftest.py", "x = 1\n") == 2
    assert looked("tests/room/test_other.py", "x = 1\n") == looked("tests/room/test_other.py", "x = 2\n") == 0
    assert looked("tests/mutants/faults.toml", "") == 0
    # From now on the other tests are a helper.
    assert looked("tests/room/small.py", "from tests.room.test_other import x\n") == 2
    assert looked("tests/room/test_other.py", "x = 3\n") == 2


def test_a_result_is_kept_of_what_was_tested_though_the_checkout_changes_meanwhile(runner, monkeypatch):
    root, _, seen = runner
    run, whole = check.run_tests, (root / "tests.py").read_text()

    def meanwhile(*given):
        (root / "tests.py").write_text("# changed while tests of before run\n")
        return run(*given)

    monkeypatch.setattr(check, "run_tests", meanwhile)
    check.main(["--only", "a"])
    monkeypatch.setattr(check, "run_tests", run)
    check.main(["--only", "a"])
    assert len(seen) == 4, "nobody has seen these tests"
    (root / "tests.py").write_text(whole)
    check.main(["--only", "a"])
    assert len(seen) == 4


def test_a_fault_that_breaks_the_check_leaves_a_whole_copy_to_the_others(runner, monkeypatch):
    _, faults, _ = runner
    faults[:] = [Fault(name, "code.py", f"{name} = {i}", "", (name,)) for i, name in enumerate("abc", 1)]
    came, waited, whole, looks = threading.Event(), [], [], []

    def run(folder, tests, limit):
        if tests == ("a",):  # holds its copy until the third has one
            waited.append(came.wait(5))
        elif tests == ("b",):
            looks.append(folder)
            if len(looks) == 2:
                raise OSError("the disk is full")
        else:
            whole.append((folder / "code.py").read_text())
            came.set()
        return 0, ""

    monkeypatch.setattr(check, "run_tests", run)
    with pytest.raises(OSError, match="disk"):
        check.main(["--jobs", "2"])
    assert all(waited) and "b = 2" in whole[0]


def test_tests_that_pass_without_any_fault_are_found_in_one_go(tmp_path):
    (tmp_path / "copy" / "tests").mkdir(parents=True)
    body = """
import pytest
def test_good(): pass
def test_bad(): assert False
@pytest.mark.skip
def test_skipped(): pass
@pytest.mark.parametrize("x", [1, 2])
def test_both(x): pass
@pytest.mark.parametrize("x", [1, 2])
def test_one(x): assert x == 1
"""
    (tmp_path / "copy" / "tests" / "test_some.py").write_text(body)
    (tmp_path / "copy" / "pytest.ini").write_text("[pytest]")
    names = [f"tests/test_some.py::test_{name}" for name in ("good", "bad", "skipped", "both", "one", "one[1]")]
    found = check.passing(tmp_path / "copy", names[:-1], 1, 60)
    assert {name for name in names if name in found} == {names[0], names[3], names[5]}
    assert check.passing(tmp_path / "copy", ["tests/test_none.py"], 1, 60) == set()


def test_what_passes_without_a_fault_is_found_once_while_the_files_stay(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(check, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(check, "passing", lambda folder, tests, jobs, limit: calls.append(limit) or {"t.py::a"})
    (tmp_path / "t.py").write_text("1")
    for _ in range(2):
        assert check.passed_before(tmp_path, ["t.py::a", "t.py::b"], "shared", 1) == {"t.py::a"}
    assert len(calls) == 1 and calls[0] <= 3600
    (tmp_path / "t.py").write_text("2")
    check.passed_before(tmp_path, ["t.py::a"], "shared", 1)
    check.passed_before(tmp_path, ["t.py::a"], "otherwise", 1)
    assert len(calls) == 3


def test_what_has_passed_before_is_not_run_without_the_fault(runner, monkeypatch):
    _, _, seen = runner
    monkeypatch.setattr(check, "passed_before", lambda *args: {"tests.py::t"})
    check.main([])
    assert len(seen) == 2 and all("-1" in text or "0" in text or "-2" in text for text in seen)


def test_a_stop_loses_the_fault_at_work_alone(runner, monkeypatch):
    _, _, seen = runner
    run = check.run_tests

    def stopped(*given):
        if len(seen) == 3:
            raise KeyboardInterrupt
        return run(*given)

    monkeypatch.setattr(check, "run_tests", stopped)
    with pytest.raises(KeyboardInterrupt):
        check.main([])
    monkeypatch.setattr(check, "run_tests", run)
    check.main([])
    assert len(seen) == 5, "the first is not looked at again"


def test_tests_that_fail_anyway_and_lines_that_are_gone_tell_nothing(runner, capsys):
    root, faults, seen = runner
    faults[1] = Fault(**{**vars(faults[1]), "before": "d = 4"})
    (root / "code.py").write_text("a = 0\nb = 2\nc = 3\n".replace("a = 0", "a = 1  # 0"))
    faults[0] = Fault(**{**vars(faults[0]), "before": "c = 3"})
    assert check.main([]) == 1
    said = capsys.readouterr().out
    assert f"{DULL}: a" in said and f"{NOT_FOUND}: b" in said and not list((root / "kept").glob("*"))


def test_survivors_need_a_reason_and_95_of_100_must_be_killed():
    def faults(count, **more):
        return [Fault(f"{i}", "f", "a", "b", ("t",), **more) for i in range(count)]

    killed = dict.fromkeys(faults(19), KILLED)
    (excused,), (bare,) = faults(1, survives="nothing asks for it", method="dro"), faults(1, method="dro")
    assert not check.fails({**killed, excused: SURVIVED})
    assert len(check.fails({**killed, bare: SURVIVED})) == 1
    assert len(check.fails({**killed, excused: KILLED})) == 1
    assert len(check.fails({**dict.fromkeys(faults(18), KILLED), excused: SURVIVED})) == 1


@pytest.mark.parametrize("test", TESTS)
def test_the_tests_of_the_faults_are_there(test):
    file, _, function = test.partition("::")
    found = {node.name for node in tree(file).body if isinstance(node, ast.FunctionDef)}
    assert function.partition("[")[0] in found
