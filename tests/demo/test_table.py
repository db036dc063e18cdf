import io

from rich.console import Console

from gateway.demo.table import Row, show


def test_a_row_that_is_not_as_promised_says_what_was_promised():
    kept = Row("demo.row.tls12", "TLS_VERSION", "TLS_VERSION", 7, ("f20-four-eyes",))
    broken = Row("demo.row.expired", "CERT_EXPIRED", "served", None)
    assert kept.kept
    assert not broken.kept
    for language, word in (("en", "TLS 1.2"), ("zh", "过期证书")):
        out = io.StringIO()
        show([kept, broken], language, Console(file=out, width=200))
        text = out.getvalue()
        assert word in text
        assert "f20-four-eyes" in text
        assert "✗ CERT_EXPIRED" in text
        assert text.count("✓") == 1
