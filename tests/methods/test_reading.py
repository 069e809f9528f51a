"""A method is read in a few files, from its ``train`` to the last torch call; ``tests/reading.py`` names them."""

import pytest

from tests import reading

MOST = {"purer": 5}


@pytest.mark.parametrize("name", reading.METHODS)
def test_a_methods_steps_are_read_in_a_few_files(name):
    found, _ = reading.files(name)
    assert len(found) <= MOST.get(name, 7), found


def test_a_call_that_is_not_resolved_is_an_error_and_not_left_out(tmp_path, monkeypatch):
    for where, source in {
        "dfml/tasks/store.py": "class Store:\n    def recover(self):\n        return 1\n",
        "dfml/methods/mine.py": "class Mine:\n    def train(self, training):\n        return training.recover()\n",
    }.items():
        path = tmp_path / where
        path.parent.mkdir(parents=True)
        path.write_text(source)
    cached = (reading.module, reading.every_class, reading.own_names)
    monkeypatch.setattr(reading, "ROOT", tmp_path)
    try:
        for each in cached:
            each.cache_clear()
        with pytest.raises(reading.Unresolved, match="training.recover"):
            reading.files("mine")
    finally:
        for each in cached:
            each.cache_clear()
