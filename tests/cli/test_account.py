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


WHY = ("140105", "clerk", "--reason", "moved")


def test_roles_are_set_as_a_whole(told, said):
    add(told, "clerk", "requester")
    words = ("--role", "recipient", "--role", "duty_doctor")
    assert told("account", "roles", *WHY, *words)["roles"] == ["recipient", "duty_doctor"]
    assert "recipient, duty_doctor" in said("account", "list")
    assert told("account", "roles", *WHY, "--role", "king", status=2)["refused"] == "ROLE_UNKNOWN"


def test_an_account_is_suspended_and_resumed(told, said):
    add(told, "clerk", "requester")
    assert told("account", "suspend", *WHY)["state"] == "suspended"
    assert "suspended" in said("account", "list")
    assert "停用" in said("account", "list", lang="zh")
    assert told("account", "resume", *WHY)["state"] == "active"
    assert told("account", "resume", "140105", "nobody", "--reason", "x", status=1)


def test_a_locked_account_is_shown_so_and_unlocked(told, said, small):
    add(told, "clerk", "requester")
    assert "never" in said("account", "list")
    small.accounts["clerk"].locked = True
    small.accounts["clerk"].last_login_time.FromSeconds(1_800_000_000)
    shown = said("account", "list")
    assert "locked" in shown
    assert "2027-01-15" in shown
    assert told("account", "unlock", *WHY) == {"organisation": "140105", "account": "clerk"}
    assert "locked" not in said("account", "list")
