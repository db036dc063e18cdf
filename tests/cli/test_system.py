def test_a_system_and_an_officer_are_registered(told, said):
    assert told("system", "add", "140105", "uploader")["spiffe_id"].endswith(
        "/org/140105/sys/uploader"
    )
    assert "/officer/wang" in said("system", "add", "140105", "wang", "--officer")
