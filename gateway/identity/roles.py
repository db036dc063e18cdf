"""Duties apart: which roles there are, and what one account, and one person, may hold of them.

Pure. "uploader" is the role of systems: named after what it may do, as all of them; what bears it
is the subject's kind.
"""

from collections.abc import Collection, Iterable

from gateway.names import SubjectKind

UPLOADER = "uploader"
AUDITOR = "auditor"
ADMIN = "admin"
SECURITY_OFFICER = "security_officer"
APPROVER = "approver"
REQUESTER = "requester"
RECIPIENT = "recipient"
DUTY_DOCTOR = "duty_doctor"
# Of sessions that two officers opened (`breakglass`), never of an account: not in ROLES.
BREAK_GLASS = "break_glass"
BREAK_GLASS_DRILL = "break_glass_drill"
# What systems bear and officers never do.
OF_SYSTEMS = frozenset({UPLOADER})
# One of these, and no other of these in any account of the same person: who governs neither
# approves nor looks on (GB/T 22239 8.1.4.2 d), and a security officer is nothing else besides
# (8.1.7.2 b).
APART = frozenset({ADMIN, AUDITOR, APPROVER, SECURITY_OFFICER})
# May be held together.
TOGETHER = frozenset({REQUESTER, RECIPIENT, DUTY_DOCTOR})
ROLES = OF_SYSTEMS | APART | TOGETHER
# The rules that a refusal names (messages/catalogue/registry).
UNKNOWN, NOT_TOGETHER, ONE_PERSON = "account-roles", "account-roles-apart", "account-roles-person"


def subject_kind(held: Collection[str]) -> SubjectKind:
    """Return who bears the certificate: systems upload records, officers do all else."""
    return "sys" if OF_SYSTEMS & set(held) else "officer"


def faults(wanted: Collection[str], others: Iterable[Collection[str]]) -> list[str]:
    """Return the rules that an account with these roles would break, none when it may be.

    `others` are the roles of the same person's other accounts, of suspended ones too: they may be
    taken up again.
    """
    held = set(wanted)
    broken = [] if held and held <= ROLES else [UNKNOWN]
    if len(held) > 1 and not held <= TOGETHER:
        broken.append(NOT_TOGETHER)
    elsewhere = {role for other in others for role in other} & APART
    if held & APART and elsewhere - held:
        broken.append(ONE_PERSON)
    return broken
