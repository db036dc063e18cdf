from gateway.sample.family import Truth


def test_a_truth_says_what_becomes_of_the_record():
    truth = Truth("vaccination", "r1", "before_its_child", ("VA-01",), "quarantined", "accepted")
    assert truth.as_json() == {
        "kind": "vaccination",
        "record_id": "r1",
        "defect": "before_its_child",
        "rules": ["VA-01"],
        "state": "quarantined",
        "then": "accepted",
    }
    assert "then" not in Truth("child", "c", "d", ("CH-21",), "flagged").as_json()
