"""No interleaving of revoke, expire, resume and release leaves a readable file without its leaf and its debit.

The live disclosure door with its real SQL, files that it built itself, a recipient with his real keys; hypothesis chooses the
sequences (tests/exports/interleaving.py).
"""

from collections import Counter
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from gateway.services import certificate_service, export_delivery
from tests.exports.interleaving import Recipient, machine
from tests.world import held

# A payload is some twenty of these, so that a download can be left and cut at many places.
CHUNK_BYTES = 128


@pytest.fixture(scope="module")
def recipient(cluster):
    with (
        mock.patch.object(export_delivery, "CHUNK_BYTES", CHUNK_BYTES),
        # Nobody keeps the revocation lists here.
        mock.patch.object(certificate_service, "LIST_PATIENCE_S", 0.0),
        held(cluster) as stands,
    ):
        yield Recipient(stands)


def _hold(recipient, examples):
    """Two by hand, one with the key and one without it; and as many as hypothesis finds."""
    seen = Counter()
    for steps in (3, 2):
        one = machine(recipient, seen)()
        one.seal(code="0202", steps=steps)
        # What was charged once is given again, however much others were given since.
        for step in (one.spend_or_forget, one.take_the_key, one.spend_or_forget):
            step()
        one.stop(rpc="HoldExport")
        one.it_is_readable_with_leaf_and_debit_and_only_so()
        one.teardown()
    assert seen == {"read": 1, "never read": 1, "again": 1, "HoldExport": 2}
    run_state_machine_as_test(
        machine(recipient, seen),
        settings=settings(
            max_examples=examples,
            stateful_step_count=12,
            deadline=None,
            database=None,
            # Nothing is shrunk: that takes longer than a test may, and a race does not come again.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    return seen


@pytest.mark.timeout(300)
def test_no_interleaving_leaves_a_readable_file_without_its_leaf_and_debit(recipient):
    _hold(recipient, 8)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_nor_do_a_thousand_others(recipient):
    """And everything that can come about does."""
    seen = _hold(recipient, 1000)
    print(sorted(seen.items()))
    assert sum(seen[one] for one in ("read", "never read")) >= 1000
    assert min(seen.values()) > 0
