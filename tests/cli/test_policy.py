"""`gateway policy check|show|test`, in both languages, on what ships, on a HOME, and on folders with a mistake."""

import json
import shutil
from pathlib import Path

import pytest

from gateway.cli.main import application, run
from gateway.config.policies import shipped


def gateway(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command line; return exit status, standard output and standard error."""
    try:
        run(application("policy"), ["policy", *arguments])
        status = 0
    except SystemExit as left:
        status = int(left.code or 0)
    out, err = capsys.readouterr()
    return status, out, err


EVIDENCE = """@id("P03-evidence") @says("x") @says_zh("y")
permit (principal in Role::"uploader", action == Action::"GetReceipt", resource)
when { resource.organisation == principal.organisation };
"""
EVIDENCE_CASES = "".join(
    f"""[[case]]
name = "{name}"
action = "{action}"
organisation = "140105"
roles = {roles}
resource = "Evidence"
of = "{of}"
allowed = {str(policy != "default-deny").lower()}
policies = ["{policy}"]
"""
    for name, action, roles, of, policy in (
        ("own", "GetReceipt", '["uploader"]', "140105", "P03-evidence"),
        ("another's", "GetReceipt", '["uploader"]', "140106", "default-deny"),
        ("another role", "GetReceipt", '["auditor"]', "140105", "default-deny"),
        ("another action", "ListQuarantine", '["uploader"]', "140105", "default-deny"),
    )
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    shutil.copytree(shipped("policies"), tmp_path / "home" / "policies")
    return tmp_path / "home"


def test_check_of_what_ships(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = gateway(capsys, "check", "--json")
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert found["policies"] >= 11
    assert found["cases"] >= 90
    assert len(found["bundle"]) == len(found["sha256"]) == 64
    assert found["passwords"] == "mlps3"
    assert "Bundle" in gateway(capsys, "check", "--lang", "en")[1]
    assert "策略包" in gateway(capsys, "check", "--lang", "zh")[1]


def test_a_home_its_policies_and_a_cedar_folder_are_the_same(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    folders = (home, home / "policies", home / "policies" / "cedar")
    found = [json.loads(gateway(capsys, "check", str(folder), "--json")[1]) for folder in folders]
    assert found[0] == found[1] == found[2]
    assert found[0]["folder"] == str(home / "policies" / "cedar")


def test_a_cedar_folder_alone_can_be_checked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.copytree(shipped("policies") / "cedar", tmp_path / "mine")
    status, out, _ = gateway(capsys, "check", str(tmp_path / "mine"), "--json")
    assert status == 0
    assert "sha256" not in json.loads(out)


def test_a_mistake_is_told_with_its_code(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    path = home / "policies" / "cedar" / "03-governance.cedar"
    good = path.read_text()
    path.write_text(good.replace('Role::"auditor"', 'Role::"admin"'))
    status, _, err = gateway(capsys, "check", str(home), "--lang", "en")
    assert status == 1
    assert "POLICY_CASES_FAIL" in err
    assert "province's auditor: SearchLeaves" in err
    path.write_text(good + "permit (")
    status, out, _ = gateway(capsys, "show", str(home), "--json")
    assert status == 1
    assert json.loads(out)["refused"] == "POLICY_INVALID"


def test_a_mistake_in_the_other_files_is_told_too(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    path = home / "policies" / "passwords.toml"
    path.write_text(path.read_text().replace("token_minutes = 10", "token_minutes = 60"))
    status, _, err = gateway(capsys, "check", str(home))
    assert status == 2
    assert "session.token_minutes" in err


def test_show_says_what_each_policy_does(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(gateway(capsys, "show", "--json", "--lang", "zh")[1])
    texts = {one["policy"]: (one["effect"], one["text"]) for one in found["policies"]}
    assert texts["F03-auditor"] == ("forbid", "审计员只能查阅审计日志。")
    assert (
        "An auditor reads the audit log and nothing else."
        in gateway(capsys, "show", "--lang", "en")[1]
    )


def test_test_finds_what_the_cases_do_not_guard(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    """On the records' policies alone: the whole run on what ships is in tests/policy."""
    cedar = home / "policies" / "cedar"
    for path in [*cedar.glob("*.cedar"), *(cedar / "cases").iterdir(), cedar / "survivors.toml"]:
        if path.name not in {"02-records.cedar", "00-province.toml"}:
            path.unlink()
    policy = cedar / "02-records.cedar"
    policy.write_text(policy.read_text().split("@id", 3)[0] + EVIDENCE)
    (cedar / "cases" / "02.toml").write_text(EVIDENCE_CASES)
    status, out, _ = gateway(capsys, "test", str(home), "--json")
    found = json.loads(out)
    assert (status, found["survivors"], found["explained"]) == (0, [], 0)
    assert found["mutants"] == 4
    policy.write_text(
        policy.read_text()
        + '@id("P98") @says("x") @says_zh("y") permit (principal in Role::"ghost", action, resource);\n'
    )
    status, out, _ = gateway(capsys, "test", str(home), "--lang", "en")
    assert status == 1
    assert "P98" in out
    (cedar / "survivors.toml").write_text(
        "".join(
            f'[[survivor]]\npolicy = "P98"\nchange = "{change}"\nwhy = "nobody is a ghost"\n'
            for change in ("removed",)
        )
    )
    status, out, _ = gateway(capsys, "test", str(home), "--json")
    assert (status, json.loads(out)["explained"], json.loads(out)["survivors"]) == (0, 1, [])
    (cedar / "survivors.toml").write_text("[[survivor]]\n")
    status, out, _ = gateway(capsys, "test", str(home), "--json")
    assert (status, json.loads(out)["refused"]) == (1, "POLICY_INVALID")
