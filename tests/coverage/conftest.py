"""One province per file of tests: the calls of one test leave the others' untouched."""

import pytest

from tests.world import held


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        stands.run(stands.world.keep_lists())
        yield stands
