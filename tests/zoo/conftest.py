import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def stubs():
    """The module with the misbehaving server."""
    spec = importlib.util.spec_from_file_location("stub_server", Path(__file__).with_name("stub_server.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def stub(stubs):
    """A server that does what the test tells it to."""
    server = stubs.Stub()
    yield server
    server.close()


@pytest.fixture
def opened_here():
    """See ``foreign_teachers.opened_in_this_process``."""
    from tests.zoo.foreign_teachers import opened_in_this_process

    with opened_in_this_process():
        yield
