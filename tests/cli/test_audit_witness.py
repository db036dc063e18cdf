"""`gateway audit witness|witness-add|witness-end`: keys made here, lines given, alarms with their code."""

from pathlib import Path

import pytest

from gateway.client import alarm
from gateway.errors import Reason, refuse
from gateway.tlog.cosignature import parse_vkey, verified
from gateway.v1 import audit_service_pb2 as au
from tests.cli.small_admin import SmallAdmin, cli, served
from tests.client.test_alarm import fork_of
from tests.client.test_checkpoints import log_of

_AUDIT = "/gateway.v1.AuditService/"


class SmallWitnessed(SmallAdmin):
    """Also: takes witnesses; `away` so often it is not there when one asks."""

    away = 0
    # After the next lines another log is shown.
    forks = False

    def methods(self):
        return {
            **super().methods(),
            f"{_AUDIT}RegisterWitness": (self.add_witness, au.RegisterWitnessRequest),
            f"{_AUDIT}EndWitness": (self.end_witness, au.EndWitnessRequest),
        }

    def witnessing(self, request, token):
        if self.away:
            self.away -= 1
            raise refuse(Reason.AUDIT_DEGRADED, retry_after_s=0.01)
        return super().witnessing(request, token)

    def cosigned(self, request, token):
        if self.forks:
            self.log = fork_of(self.log, 5, request.size + 5)
        return super().cosigned(request, token)

    def add_witness(self, request, token):
        self._check(token)
        self.known.append((request.organisation_code, request.vkey))
        return au.RegisterWitnessResponse()

    def end_witness(self, request, token):
        self._check(token)
        if request.key_id not in {vkey.split("+")[1] for _, vkey in self.known}:
            raise refuse(Reason.NOT_FOUND)
        return au.EndWitnessResponse()


@pytest.fixture
def small():
    gateway = SmallWitnessed()
    gateway.known = []
    log_of(11, gateway.log)
    with served(gateway) as running:
        yield running


def test_keys_are_made_registered_and_used(small, told, said, profile: Path):
    assert told("audit", "witness", "--once", status=2)["refused"] == "WITNESS_MISSING"
    keys = told("audit", "witness", "--new")["keys"]
    assert told("audit", "witness", "--new", status=2)["refused"] == "WITNESS_EXISTS"
    assert "PRIVATE" not in "".join(keys)
    assert told("audit", "witness-add", "140105", *keys)["keys"] == keys
    assert small.known == [("140105", key) for key in keys]
    size = told("audit", "witness", "--once")["size"]
    note = small.log.checkpoint(size)
    lines = [line for at, line in small.cosignatures if at == size]
    assert len(verified(note + "".join(lines), [parse_vkey(key) for key in keys])) == 2
    assert f"{size + 1} entries" in said("audit", "witness", "--once") or small.cosignatures[2:]
    key_id = keys[0].split("+")[1]
    assert told("audit", "witness-end", "140105", key_id, "--reason", "lost")["key_id"] == key_id
    assert "counts no more" in said("audit", "witness-end", "140105", key_id, "--reason", "x")
    ended = told("audit", "witness-end", "140105", "00000000", "--reason", "x", status=1)
    assert ended["refused"] == "NOT_FOUND"


def test_the_loop_waits_for_a_gateway_that_is_away_and_ends_at_an_alarm(small, told, said, profile):
    """Away, then there, then another log: the line that says so, one cosigned, and the alarm with the proof."""
    told("audit", "witness", "--new")
    small.away, small.forks = 1, True
    text = said("audit", "witness", "--every", "1", status=1)
    assert "AUDIT_DEGRADED" in text
    assert "Cosigned the log of" in text
    assert "LOG_INCONSISTENT" in text
    assert str(profile / alarm.FILE) in text
    assert len({size for size, _ in small.cosignatures}) == 1
    assert told("audit", "witness", "--once", status=1)["refused"] == "LOG_CONTRADICTED"


def test_away_at_the_one_look_is_said(small, told, profile):
    told("audit", "witness", "--new")
    small.away = 3
    assert told("audit", "witness", "--once", status=3)["refused"] == "AUDIT_DEGRADED"
    # A loop tells again and again: that is no one document.
    assert cli("audit", "witness", "-p", str(profile), "--json") == 2
