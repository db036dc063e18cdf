from gateway.v1 import upload_service_pb2 as up


def held():
    finding = up.Finding(
        rule_id="VA-01",
        severity=up.SEVERITY_QUARANTINE,
        field_path="vaccination.child_code",
        message="The child's card is not known.",
        message_zh="儿童档案不存在。",
    )
    item = up.QuarantinedItem(
        request_id="b",
        record_id="r1",
        kind="vaccination",
        unit_code="1401050003",
        state=4,
        findings=[finding],
    )
    item.deadline_time.FromJsonString("2026-12-01T00:00:00Z")
    return item


def test_what_is_held_is_listed_with_what_to_do(small, told, said):
    small.quarantined.append(held())
    (item,) = told("quarantine", "list")["items"]
    assert (item["record_id"], item["findings"][0]["rule_id"]) == ("r1", "VA-01")
    english = said("quarantine", "list", "--unit", "1401050003")
    assert "VA-01" in english
    assert "not known" in english
    assert "档案不存在" in said("quarantine", "list", lang="zh")


def test_nothing_held_is_an_empty_list(told):
    assert told("quarantine", "list") == {"items": []}
