"""An officer's word that a signer may go on: given only where the own checkpoint is of that log."""

from gateway.client import papers
from gateway.client.checkpoints import Checkpoints, LogError
from gateway.client.profile import Profile
from gateway.tlog.resumption import Approval, Request, ResumptionError, read_request


def read(profile: Profile, content: bytes) -> Request:
    """Return the request in a file once it continues the checkpoint that this profile kept.

    Raises LogError; code CHECKPOINT_NONE where none was kept: whoever compares nothing vouches for
    nothing.
    """
    kept = Checkpoints(profile).kept
    if kept is None:
        raise LogError("CHECKPOINT_NONE", f"{profile.checkpoint}: nothing was kept to compare with")
    try:
        found = read_request(content)
        found.require_continues(kept)
    except ResumptionError as error:
        raise LogError(error.code, str(error)) from error
    return found


def approve(profile: Profile, request: Request) -> Approval:
    """Return the signature of the profile's own key; raises PapersError, OSError."""
    digest = papers.read(profile.certificate.read_bytes()).sha256
    return Approval(digest, papers.signed(profile.key.read_bytes(), request.statement))
