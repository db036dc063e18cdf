"""Duties apart: every pair of roles, in one account and over one person's accounts."""

from itertools import combinations

import pytest

from gateway.identity import roles
from gateway.v1 import options_pb2


def test_the_roles_are_those_of_the_contract() -> None:
    named = {name.removeprefix("ROLE_").lower() for name in options_pb2.Role.keys()}  # noqa: SIM118
    of_sessions = {roles.BREAK_GLASS, roles.BREAK_GLASS_DRILL}
    assert named - {"unspecified"} == roles.ROLES | of_sessions


@pytest.mark.parametrize("role", sorted(roles.ROLES))
def test_each_role_alone_is_an_account(role: str) -> None:
    assert roles.faults([role], []) == []
    assert roles.subject_kind([role]) == ("sys" if role == "uploader" else "officer")


def test_what_is_no_role_is_none() -> None:
    assert roles.faults([], []) == [roles.UNKNOWN]
    assert roles.faults(["king"], []) == [roles.UNKNOWN]
    assert roles.UNKNOWN in roles.faults(["requester", "king"], [])


@pytest.mark.parametrize("pair", list(combinations(sorted(roles.ROLES), 2)), ids="+".join)
def test_only_who_takes_part_may_hold_several(pair: tuple[str, str]) -> None:
    together = set(pair) <= {"requester", "recipient", "duty_doctor"}
    assert roles.faults(pair, []) == ([] if together else [roles.NOT_TOGETHER])


@pytest.mark.parametrize("pair", list(combinations(sorted(roles.ROLES), 2)), ids="+".join)
def test_governing_looking_on_and_approving_are_three_people(pair: tuple[str, str]) -> None:
    """Issue 5, item 7; and the security officer is nothing else besides (GB/T 22239 8.1.7.2 b)."""
    apart = set(pair) <= {"admin", "auditor", "approver", "security_officer"}
    for one, other in (pair, reversed(pair)):
        assert roles.faults([one], [[other]]) == ([roles.ONE_PERSON] if apart else [])


def test_the_same_duty_twice_is_one_duty() -> None:
    assert roles.faults(["admin"], [["admin"], ["requester"]]) == []
