from tests.cli.test_tunnel_invite import KEY, OTHER_KEY


def add(tell, peer, *words, organisation="140105", status=0):
    return tell(
        "tunnel", "add", organisation, peer, "--address", "10.14.1.5/32", *words, status=status
    )


def test_tunnels_are_registered_listed_over_all_pages_and_shown(told, said):
    made = add(told, KEY)["tunnel"]
    assert (made["organisation_code"], made["addresses"]) == ("140105", ["10.14.1.5/32"])
    add(told, OTHER_KEY, "--follows", KEY)
    add(told, "gw@140200.example", "--kind", "strongswan", organisation="140200")
    listed = told("tunnel", "list")["tunnels"]
    assert [one["peer"] for one in listed] == [KEY, OTHER_KEY, "gw@140200.example"]
    [shown] = told("tunnel", "show", OTHER_KEY)["tunnels"]
    assert shown["followed_peer"] == KEY
    only = told("tunnel", "list", "--organisation", "140200")["tunnels"]
    assert [one["kind"] for one in only] == ["KIND_STRONGSWAN"]
    assert "never" in said("tunnel", "list")
    assert told("tunnel", "show", "nobody", status=1)["refused"] == "NOT_FOUND"


def test_a_tunnel_is_locked_unlocked_and_removed_with_a_reason(told, said):
    add(told, KEY)
    for word, state in (("lock", "LOCKED"), ("unlock", "ACTIVE"), ("remove", "REMOVED")):
        answer = told("tunnel", word, "140105", KEY, "--reason", "key lost")
        assert answer["tunnel"]["state"] == f"STATE_{state}"
    assert "removed" in said("tunnel", "list")
    assert "is locked" in said("tunnel", "lock", "140105", KEY, "--reason", "again")
    again = told("tunnel", "lock", "140106", KEY, "--reason", "whose", status=1)
    assert again["refused"] == "NOT_FOUND"


def test_a_county_is_related_to_the_owner_of_a_tunnel_and_no_more(small, told, said):
    assert told("tunnel", "relate", "140105", "140100", "--reason", "one line")["changed"]
    assert "any more" in said("tunnel", "relate", "140105", "140100", "--reason", "own", "--end")
    assert [(one.relation.relative_code, one.ended) for one in small.relations] == [
        ("140100", False),
        ("140100", True),
    ]


def test_an_unknown_kind_is_wrong_usage(told):
    assert add(told, KEY, "--kind", "openvpn", status=2)["refused"] == "KIND_UNKNOWN"
