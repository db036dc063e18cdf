import typer
from typer.testing import CliRunner

from gateway.demo import command


def test_the_command_is_there_and_refuses_a_crowd_too_small():
    app = typer.Typer()
    app.callback()(lambda: None)
    command.register(app)
    done = CliRunner().invoke(app, ["demo", "--children", "1"])
    assert done.exit_code == 2
