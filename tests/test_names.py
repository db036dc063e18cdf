import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.names import ACCOUNT_NAME, MalformedNameError, Subject, parse_subject

SYSTEM = "spiffe://shanxi.example/org/140105/sys/clinic-1"
OFFICER = "spiffe://shanxi.example/org/140000000000/officer/wang"


def test_a_system_and_an_officer_are_read():
    assert parse_subject(SYSTEM) == Subject("shanxi.example", "140105", "sys", "clinic-1")
    assert parse_subject(OFFICER) == Subject("shanxi.example", "140000000000", "officer", "wang")


@given(
    st.builds(
        Subject,
        trust_domain=st.from_regex(r"[a-z0-9._-]{1,60}", fullmatch=True),
        organisation=st.from_regex(r"[0-9]{6,12}", fullmatch=True).filter(str.isascii),
        kind=st.sampled_from(["sys", "officer"]),
        name=st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True),
    )
)
def test_what_is_written_is_read_again(subject):
    assert parse_subject(str(subject)) == subject


@pytest.mark.parametrize(
    "uri",
    [
        "",
        SYSTEM + "/",
        SYSTEM + "/more",
        SYSTEM + "\n",
        SYSTEM + "\x00",
        SYSTEM + "?q",
        SYSTEM + "#f",
        " " + SYSTEM,
        SYSTEM.upper(),
        SYSTEM.replace("spiffe", "SPIFFE"),
        SYSTEM.replace("shanxi", "Shanxi"),
        SYSTEM.replace("shanxi.example", "user@shanxi.example"),
        SYSTEM.replace("shanxi.example", "shanxi.example:443"),
        SYSTEM.replace("shanxi.example", ""),
        SYSTEM.replace("shanxi.example", "a" * 256),
        SYSTEM.replace("/org/", "//org/"),
        SYSTEM.replace("140105", "14010"),
        SYSTEM.replace("140105", "1401050000000"),
        SYSTEM.replace("140105", "１４０１０５"),
        SYSTEM.replace("140105", "%31%34%30%31%30%35"),
        SYSTEM.replace("140105", "140105/../140106"),
        SYSTEM.replace("sys", "system"),
        SYSTEM.replace("clinic-1", ""),
        SYSTEM.replace("clinic-1", "."),
        SYSTEM.replace("clinic-1", "clinic_1"),
        SYSTEM.replace("clinic-1", "诊所"),
        SYSTEM.replace("clinic-1", "c" * 41),
    ],
)
def test_anything_else_is_no_name(uri):
    with pytest.raises(MalformedNameError):
        parse_subject(uri)


@pytest.mark.parametrize("name", ["ab", "a" * 41, "Wang", "王小明", "a b", "a\n", "a_b"])
def test_an_account_name_is_short_plain_and_lower_case(name):
    assert ACCOUNT_NAME.fullmatch(name) is None
