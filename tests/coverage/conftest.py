"""One province per file of tests: the calls of one test leave the others' untouched."""

import pytest

from tests.exports.cast import Cast
from tests.world import held


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        stands.run(stands.world.keep_lists())
        stands.world.cast = stands.run(Cast.open(stands.world))
        yield stands
