from tests.cli.small_admin import cli, served
from tests.client.rotating_gateway import RotatingGateway
from tests.client.small_gateway import ACCOUNT, ORGANISATION, PASSWORD


def test_logging_in_keeps_a_token_and_tells_the_password_state(small, profile, told, tmp_path):
    assert (profile / "token.json").stat().st_mode & 0o777 == 0o600
    secret = tmp_path / "password.txt"
    shown = told("login", "--password-file", str(secret))
    assert (shown["organisation"], shown["account"]) == (ORGANISATION, ACCOUNT)
    assert PASSWORD not in str(shown)


def test_a_wrong_password_is_refused_with_its_code(said, tmp_path):
    secret = tmp_path / "wrong"
    secret.write_text("wrong\n")
    assert "LOGIN_FAILED" in said("login", "--password-file", str(secret), status=1)
    assert "登录失败" in said("login", "--password-file", str(secret), status=1, lang="zh")


def test_the_one_time_password_of_a_new_profile_is_used_and_then_gone(profile, told, tmp_path):
    (profile / "password").write_text(PASSWORD)
    new = tmp_path / "new"
    new.write_text("another battery 9Z\n")
    assert "password_expires" in told("passwd", "--new-password-file", str(new))
    assert not (profile / "password").exists()


def test_without_a_terminal_a_password_must_come_from_a_file(said, monkeypatch):
    assert "PASSWORD_MISSING" in said("login", status=2)


def test_a_typed_password_is_asked_twice_and_must_agree(said, tmp_path, monkeypatch):
    answers = iter(["one", "two"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: next(answers))
    secret = tmp_path / "password.txt"
    assert "PASSWORDS_DIFFER" in said("passwd", "--password-file", str(secret), status=2)


def test_whoami_and_logout(small, profile, told, said):
    assert told("whoami")["account"] == ACCOUNT
    assert ACCOUNT in said("whoami")
    assert "WEAK" not in said("whoami")
    small.origin = "weak"
    assert told("whoami")["origin"] == "weak"
    assert "! the origin is WEAK" in said("whoami")
    assert "！来源为弱" in said("whoami", lang="zh")
    assert told("logout") == {"logged_out": True}
    assert small.tokens == {}
    assert "TOKEN_MISSING" in said("whoami", status=1)


def test_a_profile_that_is_not_there_is_wrong_usage(capsys, tmp_path):
    assert cli("whoami", "-p", str(tmp_path / "none")) == 2
    assert "PROFILE_INVALID" in capsys.readouterr().err


def test_a_service_account_whose_secret_is_kept_needs_no_person(tmp_path, capsys):
    folder, secret = tmp_path / "profile", tmp_path / "once.txt"
    secret.write_text(PASSWORD + "\n")
    with served(RotatingGateway(one_time=True)) as gateway:
        gateway.profile(folder)
        assert cli("login", "-p", str(folder), "--keep", "--password-file", str(secret)) == 0
        assert gateway.current == gateway.brought[0] != PASSWORD
        (folder / "token.json").unlink()
        assert cli("login", "-p", str(folder), "--json") == 0
        (folder / "token.json").unlink()
        assert cli("whoami", "-p", str(folder), "--json") == 0
        gateway.reset("ABCDE-12345")
        for _ in range(2):
            assert cli("login", "-p", str(folder), "--lang", "en") == 1
        said = capsys.readouterr()
        assert "2 times in a row (LOGIN_FAILED)" in said.err
        assert cli("doctor", "--profile", str(folder), "--lang", "en") == 1
        told = capsys.readouterr().out
        assert "- rotating the service account's secret failed 2 times" in told
        assert gateway.brought[0] not in said.out + said.err + told
        secret.write_text("ABCDE-12345\n")
        assert cli("login", "-p", str(folder), "--keep", "--password-file", str(secret)) == 0
        assert cli("login", "-p", str(folder)) == 0


def test_a_persons_password_is_not_kept(founded, capsys):
    assert cli("login", "-p", str(founded.admin_profile), "--keep", "--lang", "en") == 2
    assert "NOT_A_SYSTEM" in capsys.readouterr().err
