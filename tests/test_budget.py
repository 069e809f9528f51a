"""What the jobs of `.ci/run` may take, and the table that it prints."""

import re
import subprocess
import sys

import pytest

from dfml.core.paths import REPOSITORY
from tests import budget


def test_every_job_of_the_checks_has_a_limit_and_all_fit_in_an_hour():
    text = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    jobs = re.findall(r'^\s*job "([^"]+)"', text, re.M)
    assert set(jobs) == budget.limits().keys() - {"reserve"}


def test_the_table_is_filled_in_and_a_limit_passed_by_half_fails(tmp_path):
    limit = budget.limits()["style"]
    for seconds, passes in ((limit * 60, True), (limit * 89, True), (limit * 91, False)):
        (tmp_path / "times").write_text(f"style\t{seconds}\ntypes\t30\n", encoding="utf-8")
        command = [sys.executable, budget.__file__, tmp_path / "times"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == passes == (not done.stderr)
        assert re.search(rf"^style +{seconds / 60:.1f} +{limit}$", done.stdout, re.M)


def test_a_job_without_a_limit_and_limits_over_an_hour_are_refused(tmp_path):
    assert budget.table(["dancing\t1"], {"style": 1})[1]
    (tmp_path / "budget.toml").write_text("[minutes]\ntests = 61\n", encoding="utf-8")
    with pytest.raises(ValueError, match="61"):
        budget.limits(tmp_path / "budget.toml")
