import pytest

from gateway.client import profile as profiles
from gateway.client.profile import ProfileError, Remote

REMOTE = Remote(
    host="10.8.0.1",
    server_name="gateway.test",
    trust_domain="gateway.test",
    organisation="140105",
    account="uploader",
    log_key="gateway.test/audit+00000000+AAAA",
)


def write(folder, **more):
    return profiles.write(folder, REMOTE, key=b"KEY", certificate=b"CERT", root=b"ROOT", **more)


def test_a_profile_is_read_back_as_it_was_written(tmp_path):
    written = write(tmp_path / "p", password="once")
    assert profiles.load(tmp_path / "p") == written
    assert written.remote == REMOTE
    assert written.password.read_text() == "once\n"
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "p").iterdir()} == {0o600}


def test_a_name_is_a_folder_of_the_configuration_and_a_slash_makes_it_a_path(tmp_path):
    assert (
        profiles.locate("city", {"XDG_CONFIG_HOME": str(tmp_path)}) == tmp_path / "gateway" / "city"
    )
    assert profiles.locate("city", {}).parts[-3:] == (".config", "gateway", "city")
    assert str(profiles.locate("./city")) == "city"
    assert str(profiles.locate("/a/city")) == "/a/city"


def drop_toml(folder):
    (folder / "profile.toml").unlink()


def add_key(folder):
    with (folder / "profile.toml").open("a") as file:
        file.write('\n[colour]\nred = "1"\n')


def drop_certificate(folder):
    (folder / "certificate.pem").unlink()


def open_key(folder):
    (folder / "key.pem").chmod(0o640)


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (drop_toml, r"profile\.toml"),
        (add_key, "colour"),
        (drop_certificate, r"certificate\.pem"),
        (open_key, "others can read"),
    ],
)
def test_a_profile_that_cannot_be_used_says_why(tmp_path, spoil, names):
    write(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ProfileError, match=names):
        profiles.load(tmp_path)
