from alembic.config import Config
from alembic.script import ScriptDirectory

from gateway.store import versions


def test_newest_is_alembics_head() -> None:
    """We read it from file names because alembic takes half a second to load."""
    config = Config()
    config.set_main_option("script_location", str(versions.SCHEMA_FOLDER))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == versions.newest()
