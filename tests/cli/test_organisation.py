def add(tell, code, kind="city"):
    return tell("organisation", "add", code, "--name", "市", "--kind", kind, "--parent", "140000")


def test_organisations_are_registered_and_listed_over_all_pages(told, said):
    for code in ("140100", "140200", "140300"):
        assert add(told, code)["organisation"]["organisation_code"] == code
    listed = told("organisation", "list")["organisations"]
    assert [each["organisation_code"] for each in listed] == ["140100", "140200", "140300"]
    assert "city" in said("organisation", "list")


def test_an_organisation_is_suspended_and_resumed(small, told, said):
    add(told, "140100")
    assert (
        told("organisation", "suspend", "140100", "--reason", "audit")["organisation"]["state"]
        == "STATE_SUSPENDED"
    )
    assert "suspended" in said("organisation", "list")
    assert "may come in again" in said("organisation", "resume", "140100", "--reason", "audited")


def test_a_refusal_has_its_code_and_status_one(told):
    add(told, "140100")
    assert (
        told("organisation", "add", "140100", "--name", "x", "--kind", "city", status=1)["refused"]
        == "ALREADY_EXISTS"
    )


def test_an_unknown_kind_is_wrong_usage(told):
    assert (
        told("organisation", "add", "140100", "--name", "x", "--kind", "club", status=2)["refused"]
        == "KIND_UNKNOWN"
    )
