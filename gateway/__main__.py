"""`python -m gateway`: the command line, put together of the nouns and the demo."""

import os
import sys

from gateway.cli.main import application, noun, run


def main() -> None:
    """Run the command line of this process."""
    arguments = sys.argv[1:]
    # grpc prints of its own accord, and reads this when it is first imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    wanted = noun(arguments)
    app = application(*wanted)
    if not wanted:
        from gateway.demo import command  # noqa: PLC0415  as `noun`: only where it is needed

        command.register(app)
    run(app, arguments)


if __name__ == "__main__":
    main()
