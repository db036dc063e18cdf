"""Policies: the specification's example, which sets of witnesses suffice, and every text that is none."""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.cosignature import ED25519, ML_DSA_44, Cosigner
from gateway.tlog.note import NoteError, Signer
from gateway.tlog.policy import NONE, Policy, PolicyError, by_organisation, parse

LOG = Signer("log.example/audit", bytes(32))
NAMES = ("X1", "X2", "X3", "Y1", "Y2", "Y3")
COSIGNERS = {
    name: Cosigner(f"witness.example/{name}", ED25519, bytes([number]) * 32)
    for number, name in enumerate(NAMES, 1)
}
KEYS = {name: one.key for name, one in COSIGNERS.items()}
WITNESSES = "".join(f"witness {name} {KEYS[name]}\n" for name in NAMES)
# c2sp.org/tlog-policy, "Example policy".
EXAMPLE = (
    f"# of the province\nlog {LOG.verifier} https://log.example\n\n{WITNESSES}"
    "group X-witnesses 2 X1 X2 X3\n \tgroup  Y-witnesses\tany Y1 Y2 Y3 \n"
    "group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"
)
HEAD = Checkpoint(LOG.verifier.name, 3, bytes(32))


def cosigned(*names: str) -> str:
    return HEAD.signed(LOG) + "".join(COSIGNERS[name].line(HEAD.text(), 1) for name in names)


def test_the_example_asks_for_two_of_x_and_one_of_y():
    policy = parse(EXAMPLE)
    assert policy.logs == (LOG.verifier,)
    for size in range(len(NAMES) + 1):
        for names in itertools.combinations(NAMES, size):
            wanted = sum(name[0] == "X" for name in names) >= 2 and any(
                name[0] == "Y" for name in names
            )
            assert policy.suffices({KEYS[name] for name in names}) is wanted


def test_a_note_is_judged_by_its_lines():
    policy = parse(EXAMPLE)
    enough, found = policy.judge(cosigned("X1", "X3", "Y2"))
    assert enough
    assert [each.key for each in found] == [KEYS["X1"], KEYS["X3"], KEYS["Y2"]]
    assert policy.judge(cosigned("X1", "X1", "Y2"))[0] is False
    with pytest.raises(NoteError, match="did not cosign"):
        policy.judge(cosigned("X1").replace("\n3\n", "\n4\n"))


def test_a_quorum_of_none_and_of_one_witness():
    assert parse("quorum none\n").suffices(()) is True
    alone = parse(f"{WITNESSES}quorum X2\n")
    assert not alone.suffices({KEYS["X1"]})
    assert alone.suffices({KEYS["X2"]})


def test_what_is_written_is_read_again():
    policy = parse(EXAMPLE)
    assert parse(policy.text()) == policy


@pytest.mark.parametrize(
    "text",
    [
        "",
        "quorum",
        "quorum none",
        "quorum none\nquorum none\n",
        "quorum X1\n",
        "quorum none x\n",
        "quorum none\r\n",
        "nonsense\nquorum none\n",
        "log\nquorum none\n",
        f"log {LOG.verifier} a b\nquorum none\n",
        f"log {LOG.verifier}\nlog {LOG.verifier}\nquorum none\n",
        f"log {KEYS['X1']}\nquorum none\n",
        f"witness X1 {LOG.verifier}\nquorum none\n",
        "witness X1\nquorum none\n",
        f"witness none {KEYS['X1']}\nquorum none\n",
        f"{WITNESSES}witness X1 {COSIGNERS['X1'].key}\nquorum none\n",
        f"{WITNESSES}witness Z {Cosigner('other', ED25519, bytes([1]) * 32).key}\nquorum none\n",
        f"{WITNESSES}group X1 any X2\nquorum none\n",
        f"{WITNESSES}group G 0 X1\nquorum G\n",
        f"{WITNESSES}group G 2 X1\nquorum G\n",
        f"{WITNESSES}group G 01 X1\nquorum G\n",
        f"{WITNESSES}group G some X1\nquorum G\n",
        f"{WITNESSES}group G any\nquorum G\n",
        f"{WITNESSES}group G any none\nquorum G\n",
        f"{WITNESSES}group G any G\nquorum G\n",
        f"{WITNESSES}group G 2 X1 X1\nquorum G\n",
        f"{WITNESSES}group G any X1\ngroup H any X1\nquorum H\n",
        f"group G any X1\n{WITNESSES}quorum G\n",
        "#\n" * 3000 + "quorum none\n",
    ],
)
def test_what_is_no_policy(text):
    with pytest.raises(PolicyError) as error:
        parse(text)
    assert error.value.code == "POLICY_FORM"


@given(st.text())
def test_any_text_is_a_policy_or_refused(text):
    with contextlib.suppress(PolicyError):
        assert isinstance(parse(text), Policy)


def test_an_organisation_counts_once_whichever_of_its_keys_signed():
    lattice = Cosigner("witness.example/X1", ML_DSA_44, bytes(32)).key
    given_ = [("140100", KEYS["X1"]), ("140100", lattice), ("140200", KEYS["X2"])]
    policy = by_organisation([LOG.verifier], given_, 2)
    assert not policy.suffices({KEYS["X1"], lattice})
    assert policy.suffices({lattice, KEYS["X2"]})
    assert parse(policy.text()) == policy


def test_a_quorum_that_nobody_can_reach_is_refused_and_not_lowered():
    with pytest.raises(PolicyError) as error:
        by_organisation([LOG.verifier], [("140100", KEYS["X1"])], 2)
    assert error.value.code == "POLICY_QUORUM"
    assert by_organisation([LOG.verifier], [], 0).quorum == NONE
