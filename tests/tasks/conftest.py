import pytest


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of kept recoveries, empty, of this test alone."""
    monkeypatch.setenv("DFML_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
