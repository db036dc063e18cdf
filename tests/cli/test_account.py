from tests.cli.small_admin import ONE_TIME


def add(tell, name="uploader", role="uploader", status=0):
    return tell(
        "account", "add", "140105", name, "--role", role, "--system", "uploader", status=status
    )


def test_an_account_is_opened_and_its_password_shown_once(told, said):
    assert add(told)["one_time_password"] == ONE_TIME
    listed = told("account", "list", "--organisation", "140105")
    assert [each["account_name"] for each in listed["accounts"]] == ["uploader"]
    assert ONE_TIME not in str(listed)
    assert "yes" in said("account", "list")


def test_a_password_is_reset(told, said):
    add(told)
    assert ONE_TIME in said("account", "reset", "140105", "uploader", "--reason", "forgotten")
    assert (
        told("account", "reset", "140105", "nobody", "--reason", "x", status=1)["refused"]
        == "NOT_FOUND"
    )


def test_an_unknown_role_is_wrong_usage(told):
    assert add(told, role="king", status=2)["refused"] == "ROLE_UNKNOWN"
