"""A signer that lost its state, all the way: nothing is served, two officers compare and sign, and then everything is.

Each wrong way is tried too: one officer twice, one alone, who is none, who was revoked, an old request, another log; the
refusal has its leaf, and what was refused did not let the signer go on.
"""

import asyncio
import contextlib
import json
import shutil
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway import signer
from gateway.client.checkpoints import Checkpoints
from gateway.clock import US_PER_S
from gateway.identity.signer_resumption import VALID_S
from gateway.signer import STATE_FILE, keys
from gateway.supervise import state
from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.frontier import Frontier
from gateway.tlog.merkle import EMPTY_ROOT
from gateway.v1 import audit_service_pb2 as audit
from tests.cli.test_certificate import _cli
from tests.coverage.rpcs import WHOAMI, eventually
from tests.house.tree import ROOT
from tests.officers import officer, profile
from tests.people import CITY
from tests.world import PASSWORD, RefusedError, World, fresh_ground

CHECKPOINT = "/gateway.v1.AuditService/GetCheckpoint"


class Incident:
    """A province whose signer has no state any more, and two officers with what they keep."""

    def __init__(self, world, folder, capsys):
        self.world, self.folder, self._capsys = world, folder, capsys
        self.request = folder / "request.json"
        self.profiles = {}

    async def prepare(self):
        world = self.world
        self.token = await world.login(world.auditor)
        for name in ("wei", "tang"):
            person = await officer(world, name)
            self.profiles[name] = profile(world, person, self.folder / name)
            reply = await world.call(world.auditor, CHECKPOINT, b"", token=self.token)
            kept = Checkpoints(self.profiles[name])
            kept.see(audit.GetCheckpointResponse.FromString(reply).checkpoint)

            async def fetch(_old, _new):
                return []

            await kept.settle(fetch)
        self.state = world.home.secrets("signer") / STATE_FILE

    async def lose(self):
        await self.world.kill_signer()
        self.state.unlink()
        await self.start_signer()

    async def start_signer(self):
        """Start it as its own process does: without a state it stays up and refuses."""
        serving = signer.Signer(None, self.world.home)
        self.world._stop_signer.clear()
        self.world._signing = asyncio.create_task(
            serving.serve(self.world.home.signer_socket, self.world._stop_signer)
        )
        await eventually(self.world.home.signer_socket.exists)

    async def cli(self, *words, status=0):
        assert await asyncio.to_thread(_cli, "signer", *map(str, words), "--json") == status
        return json.loads(self._capsys.readouterr().out)

    async def ask(self, *names, status=0):
        known = [part for name in names for part in ("--known", self.profiles[name].checkpoint)]
        return await self.cli(
            "request", self.world.home.root, "--out", self.request, *known, status=status
        )

    async def approve(self, name, status=0):
        out = self.folder / f"{name}.approval"
        words = ("--profile", self.profiles[name].folder, "--out", out)
        told = await self.cli("approve", self.request, *words, status=status)
        return told if status else out

    async def resume(self, *approvals, status=0):
        given = [part for each in approvals for part in ("--approval", each)]
        return await self.cli("resume", self.world.home.root, self.request, *given, status=status)

    def told(self):
        return [leaf for leaf in self.world.leaves() if leaf["kind"] == "log.signer"]

    async def refused_everywhere(self):
        with pytest.raises(RefusedError) as raised:
            await self.world.login(self.world.auditor)
        assert raised.value.reason in ("SIGNER_AWAY", "AUDIT_DEGRADED")

    async def served_again(self):
        async def served():
            with contextlib.suppress(RefusedError):
                return bool(await self.world.login(self.world.auditor))

        await eventually(served, 60)


def incident(cluster, folder: Path, capsys, work, *, lost: bool = True):
    async def go(ground):
        async with World.open(ground, ("identity", "administration")) as world:
            made = Incident(world, folder, capsys)
            await made.prepare()
            with state.sole(world.home):
                if lost:
                    await made.lose()
                await work(made)

    with fresh_ground(cluster) as ground:
        asyncio.run(go(ground))


def test_two_officers_let_it_go_on(cluster, tmp_path, capsys):
    async def work(at):
        await at.refused_everywhere()
        made = await at.ask("wei", "tang")
        approvals = [await at.approve("wei"), await at.approve("tang")]
        done = await at.resume(*approvals)
        assert (done["size"], done["sha256"]) == (made["size"], made["sha256"])
        [leaf] = at.told()
        assert (leaf["index"], leaf["decision"], leaf["door"]) == (done["leaf"], "allow", "host")
        assert leaf["detail"]["approvers"] == "tang.wei"
        assert leaf["detail"]["digest"] == made["sha256"]
        # What a door had committed when it learnt of the loss is told, and is not what they signed for.
        assert made["size"] + leaf["counts"].get("entries", 0) == leaf["index"]
        await at.served_again()
        recovered = [one for one in at.world.leaves(leaf["index"]) if one["kind"] == "log.recover"]
        assert {one["detail"]["cause"] for one in recovered} == {"signer"}
        kept = Checkpoints(at.profiles["wei"]).kept
        newest = signer.Memory.load(at.world.home).growth
        assert newest.size > leaf["index"] > kept.size
        # Again, though it signs: refused, with a leaf; there is one resumption.
        assert (await at.resume(*approvals, status=1))["refused"] == "ALREADY_EXISTS"
        assert [one["decision"] for one in at.told()] == ["allow", "deny"]

    incident(cluster, tmp_path, capsys, work)


def test_the_operators_page_tells_the_commands(cluster, tmp_path, capsys):
    """As it stands in docs/operations.md, word by word."""
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    block = page.split("### The signer lost its state")[1].split("```")[1]
    lines = [line.split()[2:] for line in block.strip().splitlines()]

    async def work(at):
        for name in ("wei", "tang"):
            shutil.copy(at.profiles[name].checkpoint, at.folder / f"{name}.checkpoint")
        for verb, *words in lines:
            told = [
                each
                if each.startswith("--")
                else at.world.home.root
                if each == "HOME"
                else at.folder / each
                for each in words
            ]
            await at.cli(verb, *told)
        await at.served_again()

    assert [line[0] for line in lines] == ["request", "approve", "approve", "resume"]
    incident(cluster, tmp_path, capsys, work)


def test_a_crash_after_the_leaf_ends_with_one_leaf(cluster, tmp_path, capsys, monkeypatch):
    async def work(at):
        await at.ask("wei", "tang")
        approvals = [await at.approve("wei"), await at.approve("tang")]
        with monkeypatch.context() as patched:
            patched.setattr(signer, "resume", lambda *_: False)
            assert (await at.resume(*approvals, status=3))["refused"] == "SIGNER_REFUSES"
        await at.refused_everywhere()
        await at.resume(*approvals)
        assert len(at.told()) == 1
        await at.served_again()

    incident(cluster, tmp_path, capsys, work)


def test_no_other_way_lets_it_go_on(cluster, tmp_path, capsys):
    async def work(at):
        world = at.world
        for name, role, organisation in (
            ("admin-person", "admin", "140000"),
            ("city-officer", "security_officer", CITY),
        ):
            person = await officer(world, name, role, organisation)
            at.profiles[name] = profile(world, person, at.folder / name)
            shutil.copy(at.profiles["wei"].checkpoint, at.profiles[name].checkpoint)
        await at.ask("wei", "tang")
        wei, tang = await at.approve("wei"), await at.approve("tang")
        others = [await at.approve(name) for name in ("admin-person", "city-officer")]
        forged = at.folder / "forged.approval"
        document = json.loads(tang.read_text())
        forged.write_text(
            json.dumps(document | {"signature": json.loads(wei.read_text())["signature"]})
        )
        ways = [
            ((wei,), "SECOND_OFFICER_NEEDED"),
            ((wei, wei), "APPROVAL_SAME_PERSON"),
            ((wei, others[0]), "APPROVAL_SIGNATURE"),
            ((wei, others[1]), "APPROVAL_SIGNATURE"),
            ((wei, forged), "APPROVAL_SIGNATURE"),
        ]
        for number, (approvals, reason) in enumerate(ways, 1):
            refused = await at.resume(*approvals, status=1)
            assert refused["refused"] == reason
            assert [(one["decision"], one["reason"]) for one in at.told()][number - 1 :] == [
                ("deny", reason)
            ]
            await at.refused_everywhere()
        old = json.loads(at.request.read_text())
        at.request.write_text(
            json.dumps(old | {"made_us": old["made_us"] - VALID_S * US_PER_S - 1})
        )
        stale = [await at.approve("wei"), await at.approve("tang")]
        assert (await at.resume(*stale, status=1))["refused"] == "REVISION_STALE"
        at.request.write_text(json.dumps(old))
        wei, tang = await at.approve("wei"), await at.approve("tang")
        at.world.sql(
            "UPDATE gateway.certificate SET state = 2, revoked_us = 1 WHERE subject_name = 'tang'"
        )
        assert (await at.resume(wei, tang, status=1))["refused"] == "APPROVAL_SIGNATURE"
        assert len(at.told()) == len(ways) + 2
        person = await officer(world, "liu")
        at.profiles["liu"] = profile(world, person, at.folder / "liu")
        shutil.copy(at.profiles["wei"].checkpoint, at.profiles["liu"].checkpoint)
        await at.resume(wei, await at.approve("liu"))
        await at.served_again()
        said = repr(at.world.leaves())
        assert "PRIVATE" not in said
        assert PASSWORD not in said

    incident(cluster, tmp_path, capsys, work)


def test_a_log_that_was_rolled_back_with_the_signer_gets_no_request_and_no_signature(
    cluster, tmp_path, capsys
):
    async def work(at):
        kept = Checkpoints(at.profiles["wei"]).kept
        _roll_back(at.world, kept.size - 1)
        assert (await at.ask("wei", "tang", status=1))["refused"] == "LOG_SHORTENED"
        # An operator who leaves the officers' checkpoints out gets a request that they do not sign.
        empty = at.folder / "empty"
        empty.write_text(_signed_empty(at.world))
        known = ("--known", empty)
        await at.cli("request", at.world.home.root, "--out", at.request, *known)
        assert (await at.approve("wei", status=1))["refused"] == "LOG_SHORTENED"
        assert at.told() == []

    incident(cluster, tmp_path, capsys, work)


def test_a_request_without_the_proof_that_an_officer_needs(cluster, tmp_path, capsys):
    async def work(at):
        empty = at.folder / "empty"
        empty.write_text(_signed_empty(at.world))
        await at.cli("request", at.world.home.root, "--out", at.request, "--known", empty)
        assert (await at.approve("wei", status=1))["refused"] == "PROOF_MISSING"

    incident(cluster, tmp_path, capsys, work)


def test_a_changed_entry_stops_the_request(cluster, tmp_path, capsys):
    async def work(at):
        _as_superuser(at.world, "UPDATE gateway.audit_entry SET leaf = leaf || ' ' WHERE idx = 0")
        assert (await at.ask("wei", status=1))["refused"] == "ENTRY_DIFFERS"

    incident(cluster, tmp_path, capsys, work)


def test_a_signer_that_signs_is_not_resumed(cluster, tmp_path, capsys):
    async def work(at):
        await at.ask("wei", "tang")
        approvals = [await at.approve("wei"), await at.approve("tang")]
        assert (await at.resume(*approvals, status=1))["refused"] == "ALREADY_EXISTS"
        [leaf] = at.told()
        assert (leaf["decision"], leaf["reason"]) == ("deny", "ALREADY_EXISTS")
        assert await at.world.call(at.world.auditor, WHOAMI, b"", token=at.token)

    incident(cluster, tmp_path, capsys, work, lost=False)


def test_files_that_are_none(cluster, tmp_path, capsys):
    async def work(at):
        at.request.write_text("{}")
        bad = at.folder / "bad"
        bad.write_text("x")
        assert (await at.resume(bad, status=2))["refused"] == "FILE_MALFORMED"
        words = ("request", at.world.home.root, "--out", at.request, "--known", bad)
        assert (await at.cli(*words, status=2))["refused"] == "CHECKPOINT_INVALID"

    incident(cluster, tmp_path, capsys, work)


def _signed_empty(world) -> str:
    found = keys.read(world.home)
    return Checkpoint(found.origin, 0, EMPTY_ROOT).signed(*found.signers)


def _as_superuser(world, *statements) -> None:
    name = conninfo_to_dict(world.settings.dsn)["dbname"]
    where = make_conninfo(world._superuser, dbname=name)
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for each in statements:
            connection.execute(each)


def _roll_back(world, size: int) -> None:
    """Make the database's log one of `size` entries, whole and well-formed."""
    made = Frontier()
    rows = world.sql("SELECT leaf_hash FROM gateway.audit_entry WHERE idx < %s ORDER BY idx", size)
    made.extend(bytes(row[0]) for row in rows)
    subtrees = ", ".join(f"'\\x{each.hex()}'::bytea" for each in made.hashes)
    _as_superuser(
        world,
        f"DELETE FROM gateway.audit_entry WHERE idx >= {size}",
        f"UPDATE gateway.audit_head SET size = {size}, root = '\\x{made.root().hex()}', frontier = ARRAY[{subtrees}]",
    )
