"""What the commands of `gateway policy` share: the folder of Cedar files that was meant."""

from pathlib import Path

from gateway.cli.output import CommandError
from gateway.config.exports import EXPORTS_FILE
from gateway.config.policies import shipped
from gateway.policy import bundle, cases
from gateway.policy.bundle import BundleError
from gateway.policy.engine import Engine

INVALID = "POLICY_INVALID"


def cedar_of(folder: Path | None) -> Path:
    """Return the folder of Cedar files that was meant."""
    if folder is None:
        return shipped("policies") / "cedar"
    inside = [folder / "policies" / "cedar", folder / "cedar"]
    return next((one for one in inside if one.is_dir()), folder)


def opened(cedar: Path) -> tuple[Engine, cases.Cases]:
    """Return the engine and the cases of a folder; raises CommandError."""
    try:
        found = bundle.load(cedar)
        found.rules()
        return Engine(found), cases.load(cedar)
    except BundleError as error:
        raise CommandError(INVALID, str(error)) from error


def whole(cedar: Path) -> tuple[Engine, cases.Cases]:
    """Return these of a folder that may be put in force: with the rules of exports; as `opened`."""
    engine, found = opened(cedar)
    if not engine.bundle.exports:
        ships = shipped("policies") / "cedar" / EXPORTS_FILE
        raise CommandError(INVALID, f"{cedar}: {EXPORTS_FILE} is lacking: copy it from {ships}")
    return engine, found
