"""What may survive the mutation round of the rooms that move, release and stop exports is a mutant still, and has a reason."""

import os
import subprocess
import sys

from tests.audit.mutation import mutants
from tests.exports import mutation


def test_what_is_explained_is_a_mutant() -> None:
    known = mutation.explained()
    assert set(known) <= {(name, one.change) for name in mutation.TESTS for one in mutants(name)}
    assert all(known.values())
    assert len(known) < sum(len([*mutants(name)]) for name in mutation.TESTS) / 5


def test_a_mutant_is_what_its_process_imports() -> None:
    """A revoked ticket is revoked again without the first condition, and refused without the second."""
    tried = (
        "from tests.exports import mutation, test_stopping as t;"
        "t.stop(t.State.REVOKED, t.Act.REVOKE, t.officer())"
    )
    changes = [one.change for one in mutants("gateway.exports.stopping")]
    assert changes[:2] == [
        "stopped: without ticket.state in ENDED",
        "stopped: without (ticket.state in OUT) != (act is Act.RECALL)",
    ]
    for number, refused in ((0, False), (1, True)):
        places = {**os.environ, "MUTANT": f"gateway.exports.stopping {number}"}
        done = subprocess.run(
            [sys.executable, "-c", tried],
            cwd=mutation.ROOT,
            env={**places, "PYTHONPATH": str(mutation.ROOT)},
            capture_output=True,
            check=False,
        )
        assert (b"TICKET_STATE" in done.stderr, done.returncode) == (refused, int(refused))
