"""A restored HOME names its own database, whatever stood there; all else of its settings stays."""

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
    home = Home(tmp_path)
    home.settings.write_text('dsn = """dbname=a"""\n' + REST)
    with pytest.raises(settings.SettingsError):
        settings.load(home.settings) and pointing.point(home, "")
    home.settings.write_text(REST.replace("[log]", "[log]\n# dsn"))
    assert code(lambda: pointing.point(home, "dbname=a")) == ""
