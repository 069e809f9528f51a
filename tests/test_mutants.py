"""The list of faults fits the code as it is; that its tests find them is told by ``tests/mutants/check.py``."""

import ast
from functools import cache

import pytest

from tests.mutants.check import ROOT, read_faults

FAULTS = read_faults()
TESTS = sorted({test for fault in FAULTS for test in fault.tests})
ROOMS = {path.parent.name for path in (ROOT / "dfml").glob("*/__init__.py")}


@cache
def tree(name):
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), filename=name)


def test_there_are_enough_and_no_room_is_left_out():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 30
    assert len(ROOMS) > 5 and ROOMS <= {fault.file.split("/")[1] for fault in FAULTS if fault.file.startswith("dfml/")}
    assert any(fault.file.startswith("pages/") for fault in FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_takes_the_place_of_one_line_and_changes_what_the_code_says(fault):
    assert fault.before == fault.before.strip() and fault.after == fault.after.strip()
    assert "\n" not in fault.before + fault.after and 1 <= len(fault.tests) <= 2
    faulty = fault.applied((ROOT / fault.file).read_text(encoding="utf-8"))
    assert faulty is not None, "the line does not stand there exactly once"
    assert ast.dump(ast.parse(faulty)) != ast.dump(tree(fault.file))


@pytest.mark.parametrize("test", TESTS)
def test_the_tests_of_the_faults_are_there(test):
    file, _, function = test.partition("::")
    found = {node.name for node in tree(file).body if isinstance(node, ast.FunctionDef)}
    assert function.partition("[")[0] in found
