import json

from gateway.sample.files import TRUTH
from tests.cli.small_admin import cli


def test_a_sample_is_written_and_the_same_again(tmp_path, capsys):
    for name in ("a", "b"):
        words = (
            "--seed",
            "3",
            "--children",
            "60",
            "--county",
            "140105",
            "--out",
            str(tmp_path / name),
        )
        assert cli("sample", *words, "--json") == 0
        told = json.loads(capsys.readouterr().out)
    assert told["records"]["children"] >= 59
    assert (tmp_path / "a" / TRUTH).exists()
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_faultless_sample_has_an_empty_truth(tmp_path, capsys):
    assert (
        cli("sample", "--children", "40", "--out", str(tmp_path), "--faultless", "--lang", "en")
        == 0
    )
    assert (tmp_path / TRUTH).read_text() == ""
    assert "0 planted findings" in capsys.readouterr().out


def test_wrong_usage_is_told(tmp_path, capsys):
    words = ("sample", "--children", "3", "--out", str(tmp_path))
    assert cli(*words, "--county", "999999") == 2
    assert cli(*words, "--as-of", "yesterday") == 2
    told = capsys.readouterr().err
    assert "COUNTY_UNKNOWN" in told
    assert "DATE_INVALID" in told
