from gateway.client.secret import Secret


def test_a_secret_shows_itself_only_where_it_is_asked_for():
    secret = Secret("hunter2")
    assert str(secret) == repr(secret) == "***"
    assert "hunter2" not in f"{secret} {[secret]!r}"
    assert secret.value == "hunter2"
    assert secret == Secret("hunter2")
