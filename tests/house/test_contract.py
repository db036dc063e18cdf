"""The rules of the contract (docs/decisions, proto/): held on the descriptors, comments included."""

import re
import subprocess
import sys

import pytest
from google.protobuf import descriptor_pb2

from gateway.v1 import options_pb2
from tests.house.tree import ROOT

STRING = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
# The required items of the notice for a child's card: twelve, at the top level.
REQUIRED_CHILD = {
    "child_code",
    "name",
    "sex",
    "birth_date",
    "guardians",
    "household",
    "residence",
    "household_category",
    "residence_type",
    "status",
    "file_unit_code",
    "filed_date",
}
# A certificate alone is enough for the first three, a one-time code for the fourth; break-glass is for accounts that open nothing.
WITHOUT_TOKEN = {
    "Login",
    "Diagnose",
    "RenewCertificate",
    "Enrol",
    "OpenBreakGlass",
    "ConfirmBreakGlass",
    "EnterBreakGlass",
}
CREDENTIALS = {
    "LoginRequest.password",
    "ChangePasswordRequest.old_password",
    "ChangePasswordRequest.new_password",
    "RotateSecretRequest.old_secret",
    "RotateSecretRequest.new_secret",
    "ConfirmRequest.password",
    "OpenBreakGlassRequest.sealed_credential",
    "ConfirmBreakGlassRequest.secret_code",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    target = tmp_path_factory.mktemp("proto") / "image.bin"
    sources = sorted(
        str(path.relative_to(ROOT)) for path in (ROOT / "proto/gateway/v1").glob("*.proto")
    )
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        "-Iproto",
        "--include_source_info",
        f"--descriptor_set_out={target}",
        *sources,
    ]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    return descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes()).file


def messages(file):
    """(path in the descriptor, full name, message), nested ones too."""
    stack = [((4, index), message.name, message) for index, message in enumerate(file.message_type)]
    while stack:
        path, full, message = stack.pop()
        yield path, full, message
        stack += [
            ((*path, 3, i), f"{full}.{inner.name}", inner)
            for i, inner in enumerate(message.nested_type)
        ]


def enums(file):
    yield from (((5, index), enum.name, enum) for index, enum in enumerate(file.enum_type))
    for path, full, message in messages(file):
        yield from (
            ((*path, 4, i), f"{full}.{enum.name}", enum) for i, enum in enumerate(message.enum_type)
        )


def methods(files):
    for file in files:
        for i, service in enumerate(file.service):
            for j, method in enumerate(service.method):
                yield file, (6, i, 2, j), service, method


def comment(file, path):
    return next(
        (
            place.leading_comments.strip()
            for place in file.source_code_info.location
            if tuple(place.path) == path
        ),
        "",
    )


def test_everything_is_in_one_package_and_imports_nothing_foreign(files):
    for file in files:
        assert file.package == "gateway.v1"
        assert file.syntax == "proto3"
        for other in file.dependency:
            assert other.startswith(("gateway/v1/", "google/protobuf/"))


def test_services_rpcs_messages_and_enums_have_comments(files):
    for file in files:
        places = [((6, i), service.name) for i, service in enumerate(file.service)]
        places += [(path, full) for path, full, _ in messages(file)] + [
            (path, full) for path, full, _ in enums(file)
        ]
        for path, full in places:
            assert comment(file, path), f"{file.name}: {full} has no comment"
    for file, path, service, method in methods(files):
        assert comment(file, path), f"{service.name}.{method.name} has no comment"


def test_enum_values_carry_the_enums_name_and_zero_means_not_sent(files):
    for file in files:
        for _, full, enum in enums(file):
            prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper() + "_"
            assert enum.value[0].number == 0, full
            assert enum.value[0].name == prefix + "UNSPECIFIED", full
            assert all(value.name.startswith(prefix) for value in enum.value), full


def test_every_rpc_has_its_own_request_and_response(files):
    used = [
        kind for *_, method in methods(files) for kind in (method.input_type, method.output_type)
    ]
    assert len(used) == len(set(used))
    for _, _, _, method in methods(files):
        assert method.input_type == f".gateway.v1.{method.name}Request"
        assert method.output_type == f".gateway.v1.{method.name}Response"


def test_every_rpc_says_who_may_call_it(files):
    found = list(methods(files))
    assert found
    for _, _, service, method in found:
        assert method.options.HasExtension(options_pb2.access), f"{service.name}.{method.name}"
        access = method.options.Extensions[options_pb2.access]
        assert re.fullmatch(r"[a-z]+(\.[a-z]+)*", access.audit_kind)
        assert 0 < access.max_bytes <= 4 << 20
        assert options_pb2.ROLE_UNSPECIFIED not in access.roles
        assert access.needs_token or method.name in WITHOUT_TOKEN
        if access.token_welcome or access.defective_certificate_allowed:
            assert not access.needs_token
    kinds = [method.options.Extensions[options_pb2.access].audit_kind for *_, method in found]
    assert len(kinds) == len(set(kinds))


def test_only_uploads_and_export_downloads_stream(files):
    streams = {
        method.name
        for *_, method in methods(files)
        if method.client_streaming or method.server_streaming
    }
    assert streams <= {"UploadBatches", "DownloadExport"}


def test_fields_are_snake_case_and_strings_say_how_sensitive_they_are(files):
    for file in files:
        if file.name.endswith("options.proto"):
            continue
        for _, full, message in messages(file):
            for field in message.field:
                assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", field.name), (
                    f"{full}.{field.name}"
                )
                if field.type == STRING:
                    level = field.options.Extensions[options_pb2.data_class]
                    assert level != options_pb2.DATA_CLASS_UNSPECIFIED, (
                        f"{full}.{field.name} has no data_class"
                    )


def test_there_are_no_maps(files):
    for file in files:
        for _, full, message in messages(file):
            assert not message.options.map_entry, full


def test_a_changing_call_carries_a_request_id(files):
    """Asking and coming in change nothing that a retry could double."""
    asking = (
        "Get",
        "List",
        "Search",
        "WhoAmI",
        "Diagnose",
        "Login",
        "Logout",
        "RefreshToken",
        "Confirm",
        # Begun again, a download replaces the one before.
        "Download",
    )
    by_name = {
        f".gateway.v1.{full}": message for file in files for _, full, message in messages(file)
    }
    for *_, method in methods(files):
        names = {field.name for field in by_name[method.input_type].field}
        assert "request_id" in names or method.name.startswith(asking), method.name


def test_a_list_is_read_in_pages(files):
    by_name = {
        f".gateway.v1.{full}": message for file in files for _, full, message in messages(file)
    }
    for *_, method in methods(files):
        if not method.name.startswith(("List", "Search")):
            continue
        asked = {field.name for field in by_name[method.input_type].field}
        answer = {field.name: field.number for field in by_name[method.output_type].field}
        assert {"page_size", "page_token"} <= asked
        assert answer["next_page_token"] == 2


def test_credentials_stand_in_three_messages_only(files):
    found = {
        f"{full}.{field.name}"
        for file in files
        for _, full, message in messages(file)
        for field in message.field
        if full.endswith("Request") and re.search(r"password|secret|credential|private", field.name)
    }
    assert found == CREDENTIALS


def test_the_required_items_of_a_child_are_those_of_the_notice(files):
    (child,) = (message for file in files for _, full, message in messages(file) if full == "Child")
    assert {
        field.name for field in child.field if field.options.Extensions[options_pb2.required_item]
    } == REQUIRED_CHILD
