import pytest

from gateway.v1 import identity_service_pb2 as ident
from tests.cli.small_admin import served
from tests.small_glass import CODE, OPENING, TEXTS, SmallGlass

WHY = ("--reason", "both are locked out", "--ticket", "OPS-1")


@pytest.fixture
def small():
    with served(SmallGlass()) as gateway:
        yield gateway


@pytest.fixture
def files(tmp_path):
    """What is typed otherwise: a credential and a code."""
    made = tmp_path / "credential", tmp_path / "code"
    for path, text in zip(made, (TEXTS[0], CODE), strict=True):
        path.write_text(text + "\n")
    return tuple(map(str, made))


def test_sealing_shows_two_credentials_once(told, said):
    names = [word for name in ("li", "zhao", "sun") for word in ("--officer", name)]
    assert told("break-glass", "seal", *names)["credentials"] == list(TEXTS)
    text = said("break-glass", "seal", *names)
    assert all(one in text for one in TEXTS)
    assert "gateway break-glass code" in text
    assert "信封 1" in said("break-glass", "seal", *names, lang="zh")
    assert "FIELD_INVALID" in said("break-glass", "seal", "--officer", "li", status=1)


def test_a_code_is_shown_to_its_officer(told, said):
    assert told("break-glass", "code") == {"code": CODE, "registered": 2}
    assert "2 of 3" in said("break-glass", "code")


@pytest.mark.parametrize("verb", ["open", "drill"])
def test_opening_confirming_entering_and_closing(small, told, said, files, profile, verb):
    credential, code = files
    opened = told("break-glass", verb, *WHY, "--credential-file", credential)
    assert opened["opening"] == OPENING
    assert opened["drill"] == (verb == "drill")
    [request] = small.opened
    assert (request.reason, request.ticket) == (WHY[1], WHY[3])
    assert "BREAK_GLASS_WAITING" in said("break-glass", "enter", OPENING, status=1)
    assert "1 of 2" in said("break-glass", "confirm", OPENING, "--code-file", code)
    text = said("break-glass", "confirm", OPENING, "--code-file", code)
    assert "OPEN until 1970-01-01T01:00:00" in text
    assert ("DRILL" in text) == (verb == "drill")
    # The session is the profile's from here on: other commands use its token.
    assert told("break-glass", "enter", OPENING)["drill"] == (verb == "drill")
    assert "of-break-glass" in (profile / "token.json").read_text()
    assert told("break-glass", "close", OPENING) == {"opening": OPENING, "sealing_void": True}
    assert "seal anew" in said("break-glass", "close", OPENING)


def test_what_is_typed_is_not_echoed_and_a_wrong_one_is_refused(small, said, monkeypatch, tmp_path):
    asked = []

    def typed(text, **how):
        asked.append(how)
        return "wrong"

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("typer.prompt", typed)
    assert "BREAK_GLASS_FAILED" in said("break-glass", "open", *WHY, status=1)
    assert "BREAK_GLASS_FAILED" in said("break-glass", "confirm", OPENING, status=1)
    assert [how["hide_input"] for how in asked] == [True, True]


def test_an_opening_that_nobody_confirmed_is_closed(told, said, files):
    told("break-glass", "open", *WHY, "--credential-file", files[0])
    assert told("break-glass", "close", OPENING)["sealing_void"] is False
    assert "was not open" in said("break-glass", "close", OPENING)


@pytest.mark.parametrize("state", ["never-sealed", "sealed", "waiting", "open", "void"])
def test_show_tells_how_it_stands_and_what_was_done(small, told, said, state):
    small.state = state
    assert told("break-glass", "show")["state"] == state
    for lang in ("en", "zh"):
        text = said("break-glass", "show", lang=lang)
        assert "break-glass." not in text
        if state != "never-sealed":
            assert "admin.account.unlock" in text
            assert "140100 hub" in text
    english = said("break-glass", "show")
    assert ("seal anew" in english) == (state == "void")
    assert ("never was a drill" in english) == (state == "never-sealed")


def test_show_names_the_leaf_that_a_reason_is_sealed_beside(small, said):
    assert "locked out" in said("break-glass", "show")
    small.sealed_beside = 0
    for lang in ("en", "zh"):
        text = said("break-glass", "show", lang=lang)
        assert "gateway audit part 0" in text
        assert "locked out" not in text


@pytest.mark.parametrize("drill", [False, True])
@pytest.mark.parametrize("state", ["waiting", "open", "over"])
def test_an_officers_login_tells_of_it_loudly(small, said, tmp_path, state, drill):
    words = ("login", "--password-file", str(tmp_path / "password.txt"))
    assert "break-glass" not in said(*words).lower()
    small.notice = ident.BreakGlassNotice(
        opening_id=OPENING, opener_name="wang", ticket="OPS-9", drill=drill, state=state
    )
    for lang in ("en", "zh"):
        text = said(*words, lang=lang)
        assert "wang" in text
        assert "OPS-9" in text
        assert ("!!!" in text) is not drill
        assert "client." not in text
