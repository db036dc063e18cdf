"""`python -m gateway`: the command line, put together of the nouns and the demo."""

import sys

from gateway.cli.main import application, run


def main() -> None:
    """Run the command line of this process."""
    arguments = sys.argv[1:]
    # A child of the supervisor starts the faster the less it imports.
    app = application(*(("run",) if arguments[:1] == ["run"] else ()))
    if arguments[:1] != ["run"]:
        from gateway.demo import command  # noqa: PLC0415  as above

        command.register(app)
    run(app, arguments)


if __name__ == "__main__":
    main()
