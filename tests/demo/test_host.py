import signal
import socket
from pathlib import Path

import pytest

from gateway.demo import host as hosts
from gateway.demo.host import Host, HostError


def test_a_fresh_host_has_addresses_and_ports_of_its_own(tmp_path):
    host = Host.at(tmp_path / "home")
    assert host.address(11).startswith("127.")
    assert host.address(11).endswith(".11")
    for offset in range(hosts.PORTS_EACH):
        with socket.socket() as free:
            free.bind((host.address(1), host.base_port + offset))


def test_a_command_that_fails_says_why(tmp_path):
    with pytest.raises(HostError, match="NOT_SERVED"):
        Host.at(tmp_path).run("certificate", "list", str(tmp_path))


def test_a_gateway_that_was_never_made_does_not_start(tmp_path):
    with pytest.raises(FileNotFoundError):
        Host.at(Path(tmp_path) / "none").start()


@pytest.mark.serial
def test_a_killed_supervisor_is_started_again_and_adopts_what_it_left(province):
    host = province.host
    before = host.supervisor
    host.stop(signal.SIGKILL)
    with pytest.raises(HostError, match="not running"):
        _ = host.supervisor
    host.start()
    assert host.supervisor != before
