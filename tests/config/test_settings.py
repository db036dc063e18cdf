import pytest

from gateway.config.settings import Settings, SettingsError, StaticTunnel, load, parse

GOOD = """
province = "140000"
trust_domain = "sx.example"
[front]
listen = ["127.0.0.1", "::1"]
[ports]
intake = 9443
[origin]
allow_weak_origin = true
[[origin.static]]
organisation = "140100"
listen = "127.0.0.11"
[[origin.static]]
organisation = "140200"
source = "10.8.0.0/24"
"""


def test_defaults_are_a_whole_gateway() -> None:
    settings = parse({}, "x")
    assert settings == Settings()
    assert settings.log_origin == "gateway.invalid/audit"
    assert [settings.ports.of(door) for door in ("identity", "intake")] == [8446, 8443]


def test_reads_a_file(tmp_path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(GOOD)
    settings = load(path)
    assert settings.trust_domain == "sx.example"
    assert settings.ports.intake == 9443
    assert settings.origin.static == (
        StaticTunnel("140100", listen="127.0.0.11"),
        StaticTunnel("140200", source="10.8.0.0/24"),
    )
    assert parse({"log": {"origin": "other/log"}}, "x").log_origin == "other/log"


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({"province": "14"}, "province"),
        ({"province": "１４００００"}, "province"),
        ({"trust_domain": "SX"}, "trust_domain"),
        ({"dsn": "host=x password=y"}, "dsn"),
        ({"dsn": "host=x USER = y"}, "dsn"),
        ({"dsn": "postgresql://a:b@host/x"}, "dsn"),
        ({"ports": {"intake": 0}}, "ports"),
        ({"ports": {"intake": 65536}}, "ports"),
        ({"ports": {"intake": 8446}}, "ports"),
        ({"front": {"listen": []}}, "front.listen"),
        ({"front": {"listen": ["localhost"]}}, "front.listen"),
        ({"front": {"handshake_timeout_s": 0}}, "front.handshake_timeout_s"),
        ({"front": {"idle_timeout_s": -1.0}}, "front.idle_timeout_s"),
        ({"origin": {"device": "wg0/../x"}}, "origin.device"),
        ({"origin": {"device": "a-name-too-long0"}}, "origin.device"),
        ({"origin": {"wireguard": {"tool": "wg"}}}, "origin.wireguard.tool"),
        ({"origin": {"wireguard": {"socket": "wg0.sock"}}}, "origin.wireguard.socket"),
        ({"origin": {"strongswan": {"socket": "charon.vici"}}}, "origin.strongswan.socket"),
        ({"origin": {"wall": {"table": "gateway"}}}, "origin.wall.table"),
        ({"origin": {"wall": {"table": "inet a; flush ruleset"}}}, "origin.wall.table"),
        ({"origin": {"wall": {"namespace": "/proc/1/ns/net"}}}, "origin.wall.namespace"),
        (
            {"origin": {"wall": {"table": "inet a", "namespace": "1/ns/net"}}},
            "origin.wall.namespace",
        ),
        ({"origin": {"wall": {"table": "inet a", "tool": "nft"}}}, "origin.wall.tool"),
        ({"origin": {"proxy": {"sources": ["10.0.0.0/8"]}}}, "origin.proxy.sources"),
        ({"origin": {"provider": "proxy-v2"}}, "origin.proxy.sources"),
        (
            {"origin": {"provider": "proxy-v2", "proxy": {"sources": ["10.0.0.1/8"]}}},
            "origin.proxy.sources",
        ),
        (
            {"origin": {"static": [{"organisation": "140100", "listen": "fe80::1%x"}]}},
            "origin.static[0].listen",
        ),
        ({"origin": {"static": [{"organisation": "1"}]}}, "origin.static[0].organisation"),
        ({"origin": {"static": [{"organisation": "140100"}]}}, "origin.static[0].listen"),
        (
            {"origin": {"static": [{"organisation": "140100", "listen": "a", "source": "b"}]}},
            "origin.static[0].listen",
        ),
        (
            {"origin": {"static": [{"organisation": "140100", "source": "10.8.0.1/24"}]}},
            "origin.static[0].source",
        ),
        ({"prot": {}}, "prot"),
    ],
)
def test_refuses_what_cannot_be(table, key) -> None:
    with pytest.raises(SettingsError, match=r"^x: ") as caught:
        parse(table, "x")
    assert str(caught.value).removeprefix("x: ").startswith(f"{key}: ")


def test_what_may_be_weak_is_told() -> None:
    assert Settings().origin.proves_nothing
    assert parse(
        {"origin": {"provider": "wireguard", "allow_weak_origin": True}}, "x"
    ).origin.may_be_weak
    assert not parse({"origin": {"provider": "wireguard", "device": "wg0"}}, "x").origin.may_be_weak
    proxied = {"provider": "proxy-v2", "proxy": {"sources": ["10.0.0.0/8"]}}
    assert parse({"origin": proxied}, "x").origin.may_be_weak
