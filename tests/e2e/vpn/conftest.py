"""One founded province for all tests of this folder; each test serves it on machines of its own."""

from collections.abc import Iterator

import pytest

from tests.e2e.vpn import machines
from tests.e2e.vpn import province as provinces
from tests.e2e.vpn.province import Province


@pytest.fixture(scope="session")
def province() -> Iterator[Province]:
    """A province that was founded and serves no more; skipped where machines cannot be made."""
    machines.require()
    with machines.folder() as folder, provinces.founded(folder) as made:
        yield made
