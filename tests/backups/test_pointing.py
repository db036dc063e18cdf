"""A restored HOME names its own database, whatever stood there; all else of its settings stays."""

from dataclasses import replace

import pytest

from gateway.backups import pointing
from gateway.config import settings
from gateway.config.home import Home
from tests.backups.stand import code

REST = 'province = "140000"\ntrust_domain = "sx.example"\n\n[log]\nheartbeat_s = 5.0\n'


@pytest.mark.parametrize(
    "line",
    ["", 'dsn = ""\n', 'dsn = "dbname=a host=/x port=5432"\n', "dsn='dbname=a'  # theirs\n",
     'dsn = "host=\\"odd\\" dbname=a"\n'],
)  # fmt: skip
def test_only_the_database_changes(tmp_path, line: str) -> None:
    home = Home(tmp_path)
    home.settings.write_text(line + REST)
    before = settings.load(home.settings)
    for dsn in ("host=127.0.0.1 dbname=b", ""):
        pointing.point(home, dsn)
        found = settings.load(home.settings)
        assert found.dsn == dsn
        assert found.log == before.log
        assert found.trust_domain == "sx.example"


def test_a_line_that_is_not_known_is_refused(tmp_path) -> None:
    """What is no setting is told in our own code; a comment is none."""
    home = Home(tmp_path)
    for text in ("dsn = \n", 'dsn.a = "b"\n', "stranger = 1\n"):
        home.settings.write_text(text + REST)
        assert code(lambda: pointing.point(home, "")) == "BACKUP_DAMAGED"
        assert home.settings.read_text() == text + REST
    home.settings.write_text(REST.replace("[log]", "[log]\n# dsn"))
    assert code(lambda: pointing.point(home, "dbname=a")) == ""


@pytest.mark.parametrize(
    "text",
    [f'"dsn" = "dbname=a"\n{REST}', f"'dsn'='dbname=a'\n{REST}", f'  dsn = "dbname=a"\n{REST}',
     f'dsn = "dbname=a"\n{REST}'.replace("\n", "\r\n"), f'dsn = """\ndbname=a"""\n{REST}',
     f"dsn = '''\ndbname=a'''  # theirs\n{REST}",
     REST.partition("\n[log]")[0] + 'dsn = "dbname=a"', REST + '# """\n# dsn = "x"\n'],
)  # fmt: skip
def test_every_way_to_say_it_is_known(tmp_path, text: str) -> None:
    """By hand somebody writes it as TOML allows: that restores nothing, unless it is understood."""
    home = Home(tmp_path)
    home.settings.write_bytes(text.encode())
    before = settings.load(home.settings)
    pointing.point(home, "host=127.0.0.1 dbname='数据'")
    assert settings.load(home.settings) == replace(before, dsn="host=127.0.0.1 dbname='数据'")
