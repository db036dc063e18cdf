"""What the checkpoints that come with an exported log say: whose cosignatures, and of which sizes.

    DIR/checkpoint       the log's newest
    DIR/cosigned/SIZE    earlier ones, kept for their cosignatures
    DIR/witness-policy   who is a witness, and how many of them are a quorum (C2SP tlog-policy)

The folder's own policy is what the province says; whoever has one from elsewhere trusts that one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.failures import Failure
from gateway.tlog import policy as policies
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.keys import LogKeys
from gateway.tlog.note import NoteError
from gateway.tlog.policy import NONE, Policy, PolicyError

CHECKPOINT_FILE = "checkpoint"
COSIGNED_FOLDER = "cosigned"
POLICY_FILE = "witness-policy"
MINIMUM_FILE = "minimum-index"


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint that the log signed, and what witnesses said of it.

    `where` it was found, the names of the `witnesses`, the latest time (seconds since 1970) that
    one of them stated, 0 without any, and whether together they are a quorum that is asked for.
    """

    where: str
    checkpoint: Checkpoint
    witnesses: tuple[str, ...] = ()
    time_s: int = 0
    quorum: bool = False


class Witnesses:
    """Opens checkpoints by a log's keys and a policy's witnesses; failures go to `failures`."""

    def __init__(self, keys: LogKeys, policy: Policy | None, failures: list[Failure]) -> None:
        """Judge by these; without a policy nobody is a witness."""
        self._keys = keys
        self._policy = policy
        self._failures = failures
        if policy is not None and policy.logs and not {*policy.logs} & {*keys.verifiers}:
            text = "the policy is of another log"
            failures.append(Failure("POLICY_LOG", POLICY_FILE, text))

    def open(self, raw: str, where: str) -> Signed | None:
        """Return what a note says, None after telling why it is no checkpoint of this log."""
        try:
            found = self._keys.open(raw)
        except NoteError as error:
            self._failures.append(Failure(error.code, where, str(error)))
            return None
        if self._policy is None:
            return Signed(where, found)
        try:
            enough, cosigned = self._policy.judge(raw)
        except NoteError as error:
            self._failures.append(Failure("COSIGNATURE_INVALID", where, str(error)))
            return Signed(where, found)
        return Signed(
            where,
            found,
            tuple(sorted({one.key.name for one in cosigned})),
            max((one.time_s for one in cosigned), default=0),
            enough and self._policy.quorum != NONE,
        )


def own_policy(folder: Path, failures: list[Failure]) -> Policy | None:
    """Return the policy that a folder brings, None without one or after telling why it is none."""
    path = folder / POLICY_FILE
    if not path.exists():
        return None
    try:
        return policies.parse(path.read_bytes().decode())
    except (OSError, UnicodeDecodeError, PolicyError) as error:
        failures.append(Failure("POLICY_FORM", POLICY_FILE, str(error)))
        return None


def cosigned(folder: Path) -> Iterator[tuple[str, str]]:
    """Give where each earlier checkpoint of a folder is, and its text; raises OSError."""
    place = folder / COSIGNED_FOLDER
    if place.is_dir():
        for path in sorted(one for one in place.iterdir() if one.is_file()):
            yield f"{COSIGNED_FOLDER}/{path.name}", path.read_bytes().decode(errors="replace")
