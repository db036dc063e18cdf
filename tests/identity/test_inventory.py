"""What lies in the files of a HOME, and what of it the table does not know."""

import os
from dataclasses import replace

import pytest

from gateway.identity import inventory, keys, token_rotation
from gateway.identity.inventory import compare
from gateway.identity.lives import Kept
from gateway.identity.rotation import Secret
from gateway.store import export_keys
from tests.grounds import founded, fresh_ground

MADE_US = 1_790_000_000_000_000


@pytest.fixture
def home(cluster):
    with fresh_ground(cluster) as ground, founded(ground) as (made, _):
        yield made


def tokens(home):
    return [one for one in inventory.found(home) if one.secret.kind == "token-key"]


def test_every_secret_of_the_host_is_found_with_its_age(home):
    path = home.secrets("identity") / keys.PRIVATE_FILE
    os.utime(path, ns=(1, MADE_US * 1000))
    found = inventory.found(home)
    assert {one.secret.kind for one in found} == {
        "token-key",
        "signer-key",
        "sealing-key",
        "index-key",
        "export-key",
        "export-token-key",
        "export-ticket-key",
        "invitation-key",
        "side-part-key",
        "subject-tag-key",
        "database-password",
    }
    [token] = tokens(home)
    assert (token.made_us, token.used_us, token.replaced_us) == (MADE_US, MADE_US, None)
    names = {one.secret.name for one in found if one.secret.kind == "sealing-key"}
    assert names == {"body", "restricted"}
    assert all(one.secret.owner == "host" for one in found)


def test_no_secret_value_is_in_what_is_found(home):
    told = repr(inventory.found(home))
    private = keys.read_private(home.secrets("identity") / keys.PRIVATE_FILE)
    assert private["d"] not in told
    assert home.password_file("owner").read_text() not in told
    assert (home.secrets("signer") / "log.skey").read_text().strip() not in told


def test_keys_that_follow_one_another_are_told_apart(home):
    old = token_rotation.read(home).current
    new = token_rotation.publish(home)
    waiting = {one.secret.key_id: one for one in tokens(home)}
    assert waiting[new].used_us is None
    token_rotation.switch(home)
    path = home.secrets("identity") / keys.PRIVATE_FILE
    os.utime(path, ns=(1, MADE_US * 1000))
    followed, signing = tokens(home)
    assert (followed.secret.key_id, followed.replaced_us) == (old, MADE_US)
    assert (signing.secret.key_id, signing.used_us) == (new, MADE_US)


def test_the_keys_that_signed_manifests_stay_beside_the_one_that_does(home):
    [old] = [one for one in inventory.found(home) if one.secret.kind == "export-key"]
    new = export_keys.follow(home, old.secret.key_id)
    found = [one for one in inventory.found(home) if one.secret.kind == "export-key"]
    assert [one.secret.key_id for one in found] == [old.secret.key_id, new]
    assert [one.replaced_us is None for one in found] == [False, True]


def test_a_home_of_before_there_were_exports_has_no_keys_of_them(home):
    home.export_keys.unlink()
    assert not [one for one in inventory.found(home) if one.secret.kind.startswith("export-")]


def key(name: str, key_id: str, generation: int = 1) -> Kept:
    return Kept(Secret("sealing-key", name, "host", generation, key_id), MADE_US)


def test_an_empty_table_learns_all_and_is_surprised_by_nothing():
    lying = [key("body", "a"), key("body", "b"), key("restricted", "c")]
    found = compare(lying, [])
    assert [one.secret.generation for one in found.unknown] == [1, 2, 1]
    assert (found.surprising, found.missing) == ((), ())


def test_a_key_beside_those_it_knew_is_surprising_and_numbered_after_them():
    known = [key("body", "a", 3)]
    found = compare([key("body", "a"), key("body", "b")], known)
    assert [(one.secret.key_id, one.secret.generation) for one in found.unknown] == [("b", 4)]
    assert found.surprising == found.unknown
    assert found.missing == ()


def test_a_row_whose_key_is_gone_is_missing():
    known = [key("body", "a"), replace(key("body", "b", 2), replaced_us=MADE_US)]
    assert compare([key("body", "a")], known).missing == (known[1],)


def test_a_recipient_of_backups_lies_elsewhere_and_is_never_missing():
    recipient = Kept(Secret("backup-recipient", "safe 1", "host", 1, "age1x"), MADE_US)
    assert compare([key("body", "a")], [key("body", "a"), recipient]).missing == ()


def test_what_agrees_differs_in_nothing():
    known = [key("body", "a", 7)]
    assert compare([key("body", "a")], known) == inventory.Difference((), (), ())
