from tests.house.tree import GATEWAY, ROOT, modules


def test_every_module_has_its_test_file():
    """gateway/store/database.py -> tests/store/test_database.py; database revisions are proven by the schema's tests."""
    missing = []
    for path in modules():
        inside = path.relative_to(GATEWAY)
        if path.stem == "__init__" or inside.parts[:2] == ("store", "schema"):
            continue
        expected = ROOT / "tests" / inside.parent / f"test_{path.stem.strip('_')}.py"
        if not expected.exists():
            missing.append(str(expected.relative_to(ROOT)))
    assert missing == []
