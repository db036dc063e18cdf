"""A download goes on where it was cut and opens what was approved for us; anything else leaves nothing (attacks 34, 62-65)."""

import asyncio
import errno
import os
import signal
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.client import sealed
from gateway.client.client import Client
from gateway.client.download import Download
from gateway.client.landing import LandingError
from gateway.client.sealed import ExportError
from gateway.client.secret import Secret
from gateway.errors import Reason, Refusal
from gateway.v1 import export_service_pb2 as pb
from tests.cli.small_admin import served
from tests.cli.small_exports import TICKET
from tests.client.exporting import CHUNK, DATA, Exporting
from tests.client.small_gateway import PASSWORD
from tests.exports.shipping import a_reader
from tests.exports.shipping import sealed as encrypted

KILLED = """
import asyncio, pathlib, sys, time
from gateway.client import profile as profiles
from gateway.client.client import Client
from gateway.client.download import Download
from gateway.client.landing import Landing
from gateway.client.secret import Secret
def settle(landing):
    landing._file.flush()
    print("opened", flush=True)
    time.sleep(600)
Landing.settle = settle
async def run():
    profile = profiles.load(pathlib.Path(sys.argv[1]))
    async with Client(profile, password=lambda: Secret(sys.stdin.readline().strip())) as client:
        await Download(client, sys.argv[2], pathlib.Path(sys.argv[3])).run()
asyncio.run(run())
"""


@pytest.fixture
def gateway():
    with served(Exporting()) as found:
        yield found


@pytest.fixture
def profile(gateway, tmp_path):
    return gateway.profile(tmp_path / "profile")


@pytest.fixture
def target(tmp_path):
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine" / "rows.csv"


def fetched(profile, target, patience_s=30.0, moved=lambda _done, _total: None):
    async def work(client):
        download = Download(client, TICKET, target, moved=moved, patience_s=patience_s)
        return await download.run()

    return asked(profile, work)


def asked(profile, work):
    async def run():
        async with Client(profile, password=lambda: Secret(PASSWORD)) as client:
            return await work(client)

    return asyncio.run(run())


def failed(profile, target, kind=ExportError, **how):
    with pytest.raises(kind) as error:
        fetched(profile, target, **how)
    assert not [*target.parent.iterdir()]
    return error.value


def test_the_file_is_there_and_the_sealed_one_is_not(gateway, profile, target):
    seen = []
    taken = fetched(profile, target, moved=lambda *done: seen.append(done))
    assert target.read_bytes() == DATA
    assert taken.trailer["rows"] == 30_000
    assert seen[-1] == (len(gateway.payload), len(gateway.payload))
    assert not sealed.place(profile, TICKET, "payload").exists()
    [receipt] = gateway.asked
    key = load_pem_private_key(profile.key.read_bytes(), None)
    signed = f"sxgw-receipt-v1\n{TICKET}\n{gateway.ticket.payload_sha256}\n".encode()
    key.public_key().verify(receipt.signature, signed, ec.ECDSA(SHA256()))
    assert sealed.note(profile, TICKET).file == str(target)


def test_it_goes_on_where_it_was_cut(gateway, profile, target):
    gateway.cuts = [(1, Reason.SHUTTING_DOWN), (2, Reason.SHUTTING_DOWN)]
    fetched(profile, target)
    assert gateway.offsets == [0, CHUNK, 3 * CHUNK]
    assert target.read_bytes() == DATA


def test_a_session_that_ends_meanwhile_is_renewed(gateway, profile, target):
    gateway.cuts = [(1, Reason.TOKEN_EXPIRED)]
    fetched(profile, target)
    assert gateway.offsets == [0, CHUNK]
    assert gateway.calls.count("Login") == 2
    assert target.read_bytes() == DATA


def test_for_a_folder_that_is_not_there_nothing_is_asked_for(gateway, profile, tmp_path):
    """The key is handed out so often only: a slip of the pen costs none of it."""
    target = tmp_path / "absent" / "rows.csv"
    with pytest.raises(LandingError) as error:
        fetched(profile, target)
    assert error.value.cause == "folder"
    assert (gateway.offsets, gateway.releases) == ([], 0)
    target.parent.mkdir()
    fetched(profile, target)
    assert (target.read_bytes(), gateway.releases) == (DATA, 1)


def test_a_folder_that_goes_meanwhile_costs_no_key(gateway, profile, target, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(gateway, "_lose", lambda _what: target.parent.rmdir())
        with pytest.raises(LandingError) as error:
            fetched(profile, target)
    assert (error.value.cause, gateway.releases) == ("folder", 0)
    target.parent.mkdir()
    fetched(profile, target)
    assert (target.read_bytes(), gateway.releases) == (DATA, 1)


def test_a_disk_that_is_full_costs_no_key(gateway, profile, target, monkeypatch):
    """The room is taken before the key is asked for; what came stays, and the same command goes on."""

    def full(_file, _offset, _length):
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        assert failed(profile, target, LandingError).cause == "space"
    assert (len(gateway.offsets), gateway.releases) == (1, 0)
    fetched(profile, target)
    assert (len(gateway.offsets), gateway.releases) == (1, 1)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("what", ["receive", "release"])
def test_a_lost_answer_is_asked_for_by_the_state_that_it_left(gateway, profile, target, what):
    gateway.lost = [what]
    fetched(profile, target)
    assert len(gateway.offsets) == 1
    assert gateway.releases == (2 if what == "release" else 1)
    assert target.read_bytes() == DATA


def test_a_revocation_in_the_middle_leaves_nothing_at_all(gateway, profile, target):
    gateway.cuts = [(2, Reason.TICKET_REVOKED)]
    refusal = failed(profile, target, Refusal)
    assert refusal.reason is Reason.TICKET_REVOKED
    assert not sealed.place(profile, TICKET, "payload").exists()
    assert gateway.releases == 0


def test_a_hold_keeps_what_came_for_later(gateway, profile, target):
    gateway.cuts = [(2, Reason.TICKET_HELD)]
    assert failed(profile, target, Refusal).reason is Reason.TICKET_HELD
    assert sealed.place(profile, TICKET, "payload").stat().st_size == 2 * CHUNK
    fetched(profile, target)
    assert gateway.offsets == [0, 2 * CHUNK]


def test_patience_ends(gateway, profile, target):
    gateway.cuts = [(0, Reason.SHUTTING_DOWN)] * 1000
    assert failed(profile, target, Refusal, patience_s=0.2).reason is Reason.SHUTTING_DOWN


def test_a_payload_that_is_not_the_ticket_s_is_not_signed_for(gateway, profile, target):
    gateway.payload = b"\0" + gateway.payload[1:]
    assert failed(profile, target).code == "PAYLOAD_DIFFERS"
    assert gateway.asked == []
    gateway.payload = gateway.payload[:-1]
    assert failed(profile, target).code == "PAYLOAD_DIFFERS"
    gateway.build()
    fetched(profile, target)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize(
    ("ticket", "changes", "cause"),
    [("EX-00000002", {}, "another"), (TICKET, {"columns": ("sex",)}, "another")],
)
def test_attack_63_what_is_not_the_approved_file_leaves_nothing(
    gateway, profile, target, ticket, changes, cause
):
    gateway.build(ticket, **changes)
    error = failed(profile, target)
    assert (error.code, error.cause) == ("FILE_DIFFERS", cause)


def test_attack_62_the_header_of_another_file_leaves_nothing(gateway, profile, target):
    right = gateway.header
    gateway.header, _ = encrypted(b"another", gateway.reader)
    error = failed(profile, target)
    assert (error.code, error.cause) == ("FILE_DIFFERS", "chunk")
    gateway.header = right
    fetched(profile, target)
    assert target.read_bytes() == DATA


def test_a_file_to_another_certificate_is_not_even_asked_for(gateway, profile, target):
    gateway.reader = a_reader()
    gateway.build()
    assert failed(profile, target).code == "ENCRYPTION_CERTIFICATE"
    (profile.folder / "encryption.pem").unlink()
    assert failed(profile, target).code == "ENCRYPTION_CERTIFICATE"
    assert gateway.offsets == []


def test_signed_for_and_lost_is_told_and_the_key_is_not_asked_for(gateway, profile, target):
    gateway.ticket.state = pb.EXPORT_STATE_RECEIVED
    assert failed(profile, target).code == "PAYLOAD_LOST"
    assert gateway.releases == 0


def test_attack_65_where_something_lies_nothing_is_fetched(gateway, profile, target):
    target.symlink_to(target.parent / "elsewhere")
    with pytest.raises(LandingError):
        fetched(profile, target)
    assert [one.name for one in target.parent.iterdir()] == [target.name]
    assert gateway.offsets == []


def test_attack_64_a_client_killed_before_the_end_leaves_no_plaintext_and_goes_on(
    gateway, profile, target
):
    """Killed at the worst moment: all of it is decrypted, and has no name yet."""
    command = [sys.executable, "-c", KILLED, str(profile.folder), TICKET, str(target)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as client:
        try:
            client.stdin.write(PASSWORD.encode() + b"\n")
            client.stdin.flush()
            assert client.stdout.readline() == b"opened\n"
        finally:
            client.send_signal(signal.SIGKILL)
    assert not [*target.parent.iterdir()]
    kept = [one for one in profile.folder.rglob("*") if one.is_file()]
    assert all(DATA[:200] not in one.read_bytes() for one in kept)
    assert all(gateway.header not in one.read_bytes() for one in kept)
    fetched(profile, target)
    assert target.read_bytes() == DATA
    assert gateway.releases == 2
