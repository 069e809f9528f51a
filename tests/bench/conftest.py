import pytest

from dfml.runs.jobs import train


@pytest.fixture(autouse=True)
def short_tests_of_runs(monkeypatch):
    """A run's own test takes few episodes: what a study measures comes after it."""
    monkeypatch.setattr(train, "TEST_EPISODES", 4)
