"""The table of transitions: what exports.md section 5 lists, and nothing more."""

from gateway.exports.states import ENDED, KEYED, OUT, PENDING, TABLE, UNRELEASED, Act, State

# (from, act, to) by hand, without hold and unhold, which stay where they are.
EXPECTED = {
    ("draft", "submit", "submitted"),
    ("draft", "withdraw", "withdrawn"),
    ("submitted", "withdraw", "withdrawn"),
    ("once_approved", "withdraw", "withdrawn"),
    ("submitted", "approve", "approved"),
    ("once_approved", "approve", "approved"),
    ("submitted", "deny", "denied"),
    ("once_approved", "deny", "denied"),
    ("submitted", "expire", "expired"),
    ("once_approved", "expire", "expired"),
    ("approved", "build", "building"),
    ("building", "seal", "sealed"),
    ("building", "fail", "failed"),
    ("sealed", "fetch", "fetching"),
    ("fetching", "fetch", "fetching"),
    ("fetching", "receive", "received"),
    ("received", "release", "released"),
    ("released", "release", "released"),
    ("released", "acknowledge", "acknowledged"),
    ("draft", "expire", "expired"),
    ("released", "recall", "recalled"),
    ("acknowledged", "recall", "recalled"),
    ("overdue", "recall", "recalled"),
    ("released", "destroy", "destroyed"),
    ("acknowledged", "destroy", "destroyed"),
    ("recalled", "destroy", "destroyed"),
    ("overdue", "destroy", "destroyed"),
    ("released", "lapse", "overdue"),
    ("acknowledged", "lapse", "overdue"),
    ("recalled", "lapse", "overdue"),
    *(
        (one, "revoke", "revoked")
        for one in ("once_approved", "approved", "building", "sealed", "fetching", "received")
    ),
    *(
        (one, "expire", "expired")
        for one in ("approved", "building", "sealed", "fetching", "received")
    ),
}


def test_the_table_is_the_list_of_the_reference_and_nothing_more() -> None:
    found = {
        (str(one), str(act), str(rule.to))
        for act, rule in TABLE.items()
        for one in rule.froms
        if act not in (Act.HOLD, Act.UNHOLD)
    }
    assert found == EXPECTED


def test_every_act_has_its_row_and_nothing_leaves_an_end() -> None:
    assert set(TABLE) == set(Act)
    assert not any(rule.froms & ENDED for rule in TABLE.values())
    assert PENDING | UNRELEASED | OUT | ENDED | {State.DRAFT} == set(State)
    assert not PENDING & UNRELEASED
    assert not OUT & (UNRELEASED | ENDED)


def test_what_starts_something_stands_still_while_held() -> None:
    moving = {act for act, rule in TABLE.items() if not rule.while_held}
    assert moving == {
        *(Act.SUBMIT, Act.APPROVE, Act.BUILD, Act.SEAL, Act.FETCH, Act.RECEIVE, Act.RELEASE)
    }


def test_the_key_is_there_as_long_as_it_may_be_asked_for() -> None:
    """Said to be opened, called back, overdue: nobody gets it any more, and it goes."""
    asked_for = TABLE[Act.RELEASE].froms
    assert asked_for <= KEYED
    assert UNRELEASED | asked_for == KEYED


def test_no_administrator_moves_a_ticket() -> None:
    assert not any({"admin", "auditor"} & rule.by for rule in TABLE.values())
