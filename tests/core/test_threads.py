import pytest

from dfml.core.threads import at_most_as_wanted


@pytest.mark.parametrize(
    ("wanted", "cores", "taken"), [("1", 8, 1), ("16", 8, 8), ("", 8, 8), ("0", 8, 8), ("many", 8, 8), ("2", 0, 1)]
)
def test_the_environment_lowers_the_number_of_threads_and_never_raises_it(wanted, cores, taken, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert at_most_as_wanted(cores) == taken
