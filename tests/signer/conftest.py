"""A HOME with nothing but a signer's keys and state."""

from collections.abc import Iterator

import pytest

from gateway.config.home import Home
from tests.audit.stage import signer_home


@pytest.fixture
def home() -> Iterator[Home]:
    with signer_home() as made:
        yield made
