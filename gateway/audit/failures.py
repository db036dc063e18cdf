"""The closed list of what `gateway audit verify` may find wrong with a log, or odd.

A failure breaks a promise of the log: exit status 1. A notice is for an officer to look at: who
fails on clock steps gets switched off (reference/audit.md 2.7). What each code says to people
stands in the messages as `audit.code.<code>`; docs/verifier.md is made from both.
"""

from dataclasses import dataclass

FAILURES = (
    # the keys of the log, `tlog.keys`
    *("KEY_NOTE_FORM", "KEY_NOTE_ORIGIN", "KEY_NOTE_OLD", "KEY_NOTE_NEW", "KEY_NOTE_STRANGE"),
    *("KEY_RANGE", "KEY_FORKED", "KEY_LIST_SHORT"),
    # a checkpoint, `tlog.note` and `tlog.checkpoint`
    *("CHECKPOINT_MISSING", "NOTE_FORM", "NOTE_TOO_LONG", "SIGNATURE_FORM", "SIGNATURES_MANY"),
    *("SIGNATURE_MISSING", "SIGNATURE_INVALID", "KEY_EARLY", "KEY_ENDED"),
    *("CHECKPOINT_FORM", "CHECKPOINT_ORIGIN"),
    # its witnesses, `tlog.policy` and `tlog.cosignature`
    *("POLICY_FORM", "POLICY_LOG", "COSIGNATURE_INVALID", "QUORUM_MISSING"),
    # the entries and the tree over them, `tlog.tiles`
    *("MINIMUM_FORM", "ENTRIES_PRUNED", "BUNDLE_MISSING", "BUNDLE_SHORT", "BUNDLE_TRAILING"),
    *("ENTRY_DIFFERS", "TILE_MISSING", "TILE_LENGTH", "TILE_DIFFERS", "ROOT_DIFFERS"),
    # what was signed before
    *("LOG_SHORTENED", "HISTORY_DIFFERS"),
    # a leaf, `tlog.leaf`
    *("LEAF_FORM", "LEAF_TOO_LONG", "LEAF_FIELDS"),
    # what stands beside the leaves, `audit.beside`
    *("SEALED_MISSING", "SEALED_DIFFERS", "SEALED_KEPT", "SHRED_STRANGE"),
)
NOTICES = (
    "LEAF_VERSION",
    "LEAF_REPEATED",
    "CLOCK_STEP",
    "TIME_AFTER_WITNESS",
    "BEGIN_WITHOUT_END",
    "LOG_RESTORED",
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A broken promise, or a notice: a code of the list, where, and a text for people."""

    code: str
    where: str
    message: str
