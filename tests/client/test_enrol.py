"""From an invitation to a profile: whole, cut off, asked again, and with a man in the middle."""

import asyncio
import contextlib
import hashlib
import ssl

import pytest

from gateway.client import papers, slots
from gateway.client import profile as profiles
from gateway.client.client import Client
from gateway.client.enrol import Enrolment, PinMismatchError, fetch_root
from gateway.client.invitation import Invitation
from gateway.client.papers import PapersError
from gateway.client.profile import ProfileError
from gateway.client.secret import Secret
from gateway.errors import Reason, Refusal
from gateway.v1 import audit_service_pb2 as au
from gateway.v1 import certificate_pb2 as ce
from tests.client.renewing_gateway import RenewingGateway
from tests.client.small_gateway import ACCOUNT, PASSWORD, SPIFFE_ID, make_papers

CODE, OTHER = "0123456789ABCDEFGHJKMNPQRS", "1" * 26


def pin_of(root):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(root.decode())).hexdigest()


def play(scene, gateway=None, **listener):
    gateway = gateway or RenewingGateway()
    gateway.log.append(b"first")
    gateway.codes = {CODE: None, OTHER: None}

    async def scenario():
        async with gateway, gateway.enrolling(**listener) as port:

            def invited(code=CODE, pin=""):
                return Invitation(
                    "127.0.0.1",
                    port,
                    "gateway.test",
                    Secret(code),
                    pin or pin_of(gateway.papers.root),
                )

            await scene(gateway, invited)

    asyncio.run(asyncio.wait_for(scenario(), 30))
    return gateway


def test_an_invitation_becomes_a_profile_that_works(tmp_path):
    folder = tmp_path / "p"

    async def scene(gateway, invited):
        done = await Enrolment(folder, invited()).run()
        assert (str(done.certificate.subject), done.account) == (SPIFFE_ID, ACCOUNT)
        profile = profiles.load(folder)
        assert profile.remote.ports.intake == gateway.port
        assert profile.root.read_bytes() == gateway.papers.root
        async with Client(
            profile, password=lambda: Secret(PASSWORD), own_connection=True
        ) as client:
            assert client.rotation.renewal.moment_us > 0
            assert await client.call(client.audit.GetCheckpoint, au.GetCheckpointRequest())

    play(scene)
    assert not (folder / "enrolment-key.pem").exists()
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir() if path.is_file()} == {0o600}
    assert not any(
        CODE.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file()
    )


def test_a_man_in_the_middle_with_another_root_is_sent_nothing(tmp_path):
    """Attack 81: he can present any certificate, but not the root of the pin."""
    other = make_papers()

    async def scene(gateway, invited):
        with pytest.raises(PinMismatchError):
            await Enrolment(tmp_path / "p", invited()).run()

    assert play(scene, papers=other).enrolments == 0
    assert not (tmp_path / "p").exists()


def test_a_man_in_the_middle_who_shows_the_true_root_is_sent_nothing_either(tmp_path):
    """Attack 81: the root of the pin is public; TLS is then verified with it."""
    gateway = RenewingGateway()

    async def scene(gateway, invited):
        with pytest.raises(Refusal) as raised:
            await Enrolment(tmp_path / "p", invited()).run()
        assert raised.value.reason in {Reason.TLS_FAILED, Reason.FRONT_AWAY}

    play(scene, gateway, papers=make_papers(), root=gateway.papers.root)
    assert gateway.enrolments == 0


@pytest.mark.parametrize("root", [b"", b"x" * 20_000, b"-----BEGIN CERTIFICATE-----\n\xff"])
def test_what_is_no_root_certificate_is_not_the_one_of_the_pin(tmp_path, root):
    async def scene(gateway, invited):
        with pytest.raises(PinMismatchError):
            await fetch_root(invited(), 5.0)

    play(scene, root=root or b"\n")


def test_nobody_there_is_unavailable(tmp_path):
    gone = Invitation("127.0.0.1", 1, "gateway.test", Secret(CODE), "0" * 64)
    with pytest.raises(Refusal) as raised:
        asyncio.run(Enrolment(tmp_path, gone).run(2))
    assert raised.value.reason is Reason.FRONT_AWAY


def test_who_answers_drop_by_drop_is_not_waited_for(tmp_path):
    async def drip(reader, writer):
        with contextlib.suppress(OSError):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.transport.abort()
        ended.set()

    ended = asyncio.Event()
    (tmp_path / "server.pem").write_bytes(b"".join(make_papers().server))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")

    async def scenario():
        slow = await asyncio.start_server(drip, "127.0.0.1", 0, ssl=context)
        port = slow.sockets[0].getsockname()[1]
        there = Invitation("127.0.0.1", port, "gateway.test", Secret(CODE), "0" * 64)
        with pytest.raises(Refusal) as raised:
            await Enrolment(tmp_path, there).run(0.3)
        assert raised.value.reason is Reason.FRONT_AWAY
        await ended.wait()
        slow.close()

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_a_lost_answer_is_asked_again_with_the_same_key(tmp_path):
    async def scene(gateway, invited):
        gateway.lose_renewals = 1
        with pytest.raises(Refusal):
            await Enrolment(tmp_path, invited()).run()
        shown = Enrolment(tmp_path, invited()).fingerprint
        done = await Enrolment(tmp_path, invited()).run()
        assert done.certificate.spki_sha256 == shown

    gateway = play(scene)
    assert gateway.enrolments == 2


def test_the_same_code_after_success_changes_nothing_and_says_so(tmp_path):
    async def scene(gateway, invited):
        first = await Enrolment(tmp_path, invited()).run()
        files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        again = await Enrolment(tmp_path, invited()).run()
        assert again.before
        assert again.certificate == first.certificate
        assert files == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    assert play(scene).enrolments == 1


def test_an_enrolment_that_waits_for_approval_goes_on_with_the_same_key(tmp_path):
    async def scene(gateway, invited):
        gateway.pending = True
        for _ in range(2):
            waiting = Enrolment(tmp_path, invited())
            with pytest.raises(Refusal) as raised:
                await waiting.run()
            assert raised.value.reason is Reason.APPROVAL_PENDING
        gateway.pending = False
        done = await Enrolment(tmp_path, invited()).run()
        assert gateway.codes[CODE].hex() == done.certificate.spki_sha256

    assert play(scene).enrolments == 3


def test_another_code_gets_another_key_and_an_existing_profile_its_next_certificate(tmp_path):
    async def scene(gateway, invited):
        await Enrolment(tmp_path, invited()).run()
        (tmp_path / "checkpoint").write_text("kept")
        before = profiles.load(tmp_path)
        first = before.key.read_bytes()
        again = await Enrolment(tmp_path, invited(OTHER)).run()
        assert not again.before
        assert slots.current(tmp_path).number == 1
        after = profiles.load(tmp_path)
        assert after.key.read_bytes() != first
        assert after.remote == before.remote
        assert (tmp_path / "checkpoint").read_text() == "kept"

    play(scene)


def test_the_profile_of_another_organisation_is_left_alone(tmp_path):
    async def scene(gateway, invited):
        await Enrolment(tmp_path, invited()).run()
        toml = tmp_path / "profile.toml"
        toml.write_text(toml.read_text().replace("140105", "140106"))
        with pytest.raises(ProfileError, match="another organisation"):
            await Enrolment(tmp_path, invited(OTHER)).run()
        assert slots.current(tmp_path).number == 0

    play(scene)


def test_a_profile_in_use_is_told(tmp_path):
    async def scene(gateway, invited):
        await Enrolment(tmp_path, invited()).run()
        held = slots.hold(tmp_path)
        with pytest.raises(ProfileError, match="another process"):
            await Enrolment(tmp_path, invited(OTHER)).run()
        held.release()
        assert await Enrolment(tmp_path, invited(OTHER)).run()

    play(scene)


def test_an_encryption_certificate_lies_beside_the_profile_and_is_no_profile(tmp_path):
    async def scene(gateway, invited):
        gateway.purpose = ce.CERTIFICATE_PURPOSE_ENCRYPTION
        done = await Enrolment(tmp_path, invited(), account="other").run()
        assert done.encryption
        assert (await Enrolment(tmp_path, invited()).run()).encryption
        key = (tmp_path / "encryption-key.pem").read_bytes()
        assert papers.fingerprint(key) == done.certificate.spki_sha256
        assert papers.read((tmp_path / "encryption.pem").read_bytes()) == done.certificate
        with pytest.raises(ProfileError):
            profiles.load(tmp_path)
        gateway.purpose = ce.CERTIFICATE_PURPOSE_TLS
        await Enrolment(tmp_path, invited(OTHER), account="other").run()
        assert profiles.load(tmp_path).remote.account == "other"
        assert (tmp_path / "encryption-key.pem").read_bytes() == key

    play(scene)


def test_the_key_of_the_encryption_certificate_before_is_kept(tmp_path):
    """What was encrypted to it, only that key opens."""

    async def scene(gateway, invited):
        gateway.purpose = ce.CERTIFICATE_PURPOSE_ENCRYPTION
        await Enrolment(tmp_path, invited()).run()
        first = (tmp_path / "encryption-key.pem").read_bytes()
        await Enrolment(tmp_path, invited(OTHER)).run()
        assert (tmp_path / "encryption-key.pem").read_bytes() != first
        kept = tmp_path / f"encryption-key-{papers.fingerprint(first)[:16]}.pem"
        assert kept.read_bytes() == first
        assert kept.stat().st_mode & 0o777 == 0o600

    play(scene)


@pytest.mark.parametrize("reason", [Reason.CODE_INVALID, Reason.CODE_BURNT])
def test_a_refused_code_leaves_no_profile(tmp_path, reason):
    async def scene(gateway, invited):
        gateway.codes = {CODE: b"another key"} if reason is Reason.CODE_BURNT else {}
        with pytest.raises(Refusal) as raised:
            await Enrolment(tmp_path, invited()).run()
        assert raised.value.reason is reason

    play(scene)
    with pytest.raises(ProfileError):
        profiles.load(tmp_path)


def test_a_certificate_of_another_subject_is_not_taken(tmp_path):
    def lie(answer):
        answer.organisation_code = "140106"

    async def scene(gateway, invited):
        with pytest.raises(PapersError):
            await Enrolment(tmp_path, invited()).run()

    play(scene, RenewingGateway(change_enrolment=lie))
    assert not (tmp_path / "profile.toml").exists()
