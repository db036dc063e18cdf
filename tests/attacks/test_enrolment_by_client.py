"""identity.md section 7, attack 81, by the client that people use and a gateway that serves; and a root that is being followed.

Promise: a man in the middle of an enrolment is told no code and gets no certificate. Nothing of it reaches the gateway,
so that no leaf can tell; what can be seen is asserted: the client's reason, what he was sent, that the log has not grown,
no secret in what was said, and that the same code then works at the true address.
"""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.client import profile as profiles
from gateway.client.client import Client
from gateway.client.enrol import Enrolment, PinMismatchError
from gateway.client.invitation import Invitation
from gateway.client.secret import Secret
from gateway.clock import SYSTEM
from gateway.errors import Reason, Refusal
from gateway.names import DEFAULT_TRUST_DOMAIN
from gateway.pki import authorities, ceremony, issue, offline, rollover
from gateway.v1 import admin_service_pb2 as admin
from tests.attacks.test_revocation_at_once import administer, play
from tests.client.renewing_gateway import RenewingGateway
from tests.client.small_gateway import Papers, make_papers
from tests.coverage.rpcs import eventually
from tests.services.enrolling import invitation
from tests.world import World

HOSTS = ["127.0.0.1", DEFAULT_TRUST_DOMAIN]


async def invited(world: World) -> Invitation:
    """An invitation of the county's system, as the officer hands it over."""
    wanted, answer = invitation(), admin.InviteCertificateResponse
    made = await administer(world, "InviteCertificate", wanted, answer)
    host = world.address_of(world.county.organisation)
    port, code = world.settings.ports.enrolment, Secret(made.code)
    return Invitation(host, port, DEFAULT_TRUST_DOMAIN, code, made.root_sha256)


def root_below(folder):
    """A root and a server authority made elsewhere; returns the root's certificate."""
    root = offline.make_root(folder, DEFAULT_TRUST_DOMAIN, SYSTEM.now_us())
    offline.make_server_authority(folder, ceremony.load(folder, "root"), SYSTEM.now_us())
    return root


def his_papers(folder) -> Papers:
    """A server's papers like the gateway's, for its name and address, below a root of his own."""
    root, above = root_below(folder), ceremony.load(folder, "server-authority")
    key = ec.generate_private_key(ec.SECP256R1())
    made = issue.server_certificate(above, key.public_key(), HOSTS, SYSTEM.now_us())
    chain = ceremony.pem(made) + ceremony.pem(above.certificate)
    return replace(make_papers(), root=ceremony.pem(root), server=(ceremony.key_pem(key), chain))


@pytest.mark.parametrize("shows", ["his own root", "the true root"])
def test_81_a_man_in_the_middle_is_sent_nothing(cluster, tmp_path, capfd, shows):
    """He answers where the client thinks the gateway is, and would take the code."""
    codes = []

    async def work(world: World):
        await world.open_front()
        made, he, folder = await invited(world), RenewingGateway(), tmp_path / "profile"
        he.codes = {made.code.value: None}
        codes.append(made.code.value)
        true = world.home.root_certificate.read_bytes()
        before = world.size()
        papers, root = his_papers(tmp_path / "his"), true if shows == "the true root" else None
        async with he.enrolling(papers=papers, root=root) as port:
            call = Enrolment(folder, replace(made, host="127.0.0.1", port=port)).run()
            if root is None:
                with pytest.raises(PinMismatchError):
                    await call
            else:
                # The root of the pin is no secret; but TLS is verified with it.
                with pytest.raises(Refusal) as raised:
                    await call
                assert raised.value.reason in (Reason.TLS_FAILED, Reason.FRONT_AWAY)
        assert he.enrolments == 0
        assert world.size() == before
        assert not (folder / "profile.toml").exists()
        # The next good call: the same code, where the gateway is.
        done = await Enrolment(folder, made).run()
        assert done.certificate.subject == world.county.subject
        await eventually(lambda: world.size() >= before + 2)
        told = [(leaf["kind"], leaf["decision"]) for leaf in world.leaves(before)]
        assert told == [("enrolment.root", "allow"), ("enrolment.enrol", "allow")]
        assert made.code.value not in str(world.leaves())

    play(cluster, work)
    said = "".join(capfd.readouterr())
    assert "PRIVATE KEY" not in said
    assert codes
    assert not [code for code in codes if code in said]


async def comes_in(folder) -> bool:
    """Whether a profile's client is answered, with nothing wrong."""
    async with Client(profiles.load(folder), own_connection=True) as client:
        try:
            return not (await client.diagnose()).reason
        except Refusal as refusal:
            if refusal.reason not in (Reason.TLS_FAILED, Reason.FRONT_AWAY):
                raise
            return False


def test_while_a_root_is_followed_new_clients_are_given_the_one_they_can_check_the_front_by(
    cluster, tmp_path
):
    async def work(world: World):
        await world.open_front()
        home, safe = world.home, tmp_path / "safe"
        [old] = authorities.roots(home)
        pem, new = ceremony.pem(old), root_below(safe)

        async def exchanged(content, root):
            following = rollover.judge(home, content, DEFAULT_TRUST_DOMAIN, world.clock.now_us())
            rollover.put(home, following, world.clock.now_us())
            await eventually(lambda: world.front._terms.current.root == ceremony.pem(root))

        early = await invited(world)
        await exchanged(ceremony.pem(new), old)
        # The new root is there, the front's own certificate still stands below the old one.
        between, unused = await invited(world), await invited(world)
        assert early.pin == between.pin == unused.pin
        for number, one in enumerate((early, between)):
            await Enrolment(tmp_path / f"{number}", one).run()
            assert (tmp_path / f"{number}" / "root.pem").read_bytes() == pem
            assert await comes_in(tmp_path / f"{number}")
        asked = rollover.request(home, "server").public_bytes(Encoding.PEM)
        server = offline.read(asked, "server", HOSTS)
        above = ceremony.load(safe, "server-authority")
        await exchanged(offline.sign(server, above, world.clock.now_us()), new)
        late = await invited(world)
        assert late.pin != early.pin
        await Enrolment(tmp_path / "late", late).run()
        assert (tmp_path / "late" / "root.pem").read_bytes() == ceremony.pem(new)
        assert await comes_in(tmp_path / "late")
        # Who trusts the old root alone is told so, and sends nothing: an open invitation too.
        with pytest.raises(PinMismatchError):
            await Enrolment(tmp_path / "unused", unused).run()
        assert not await comes_in(tmp_path / "1")
        (tmp_path / "1" / "root.pem").write_bytes(pem + ceremony.pem(new))
        assert await comes_in(tmp_path / "1")

    play(cluster, work)
