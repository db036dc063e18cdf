from pathlib import Path

from gateway.config.home import DOORS, PROCESSES, Home


def test_everything_lies_under_home_and_apart() -> None:
    home = Home(Path("/g"))
    paths = [
        *(getattr(home, name) for name, value in vars(Home).items() if isinstance(value, property)),
        *(home.secrets(process) for process in PROCESSES),
        *(home.run(process) for process in PROCESSES),
        *(home.door_socket(door) for door in DOORS),
        home.password_file("owner"),
    ]
    assert len(set(paths)) == len(paths)
    assert all(path.is_relative_to("/g") and path != Path("/g") for path in paths)
