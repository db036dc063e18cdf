from gateway.services import contract


def test_health_is_at_every_door():
    for door in contract.SERVICES:
        assert ("/grpc.health.v1.Health/Check" in contract.rpcs(door)) == (door != "enrolment")


def test_where_anybody_may_knock_there_is_one_rpc():
    assert list(contract.rpcs("enrolment")) == ["/gateway.v1.EnrolmentService/Enrol"]


def test_administration_knows_no_individual():
    """Its messages hold no identified or restricted data but one-time secrets, and what an auditor asks for and reads."""
    from gateway.v1 import options_pb2

    found = set()
    for service in contract.SERVICES["administration"]:
        for method in service.methods:
            for message in (method.input_type, method.output_type):
                found |= sensitive(message, options_pb2)
    assert found == {
        "CreateAccountResponse.one_time_password",
        "GetSealedPartResponse.text",
        "InviteCertificateResponse.code",
        "ResetPasswordResponse.one_time_password",
        "SearchLeavesRequest.child_code",
    }


def sensitive(message, options, seen=None):
    seen = set() if seen is None else seen
    if message.full_name in seen:
        return set()
    seen.add(message.full_name)
    found = set()
    for field in message.fields:
        level = field.GetOptions().Extensions[options.data_class]
        if level >= options.DATA_CLASS_IDENTIFIED:
            found.add(f"{message.name}.{field.name}")
        if field.message_type is not None:
            found |= sensitive(field.message_type, options, seen)
    return found
