"""The message of a call.

Parsed strictly, its request id checked, and the small readers that services share.
"""

import re
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from gateway.errors import Reason, Refusal, Violation, refuse
from gateway.services.call import Call

Parsed = TypeVar("Parsed", bound=Message)

REASON_MAX = 200
# A mobile number, or as many digits as an identity number has; codes of ours have at most twelve.
_PERSONAL_NUMBER = re.compile(r"(?<![0-9])(86)?1[3-9][0-9]{9}(?![0-9])|[0-9]{15}", re.ASCII)
# The one textual form of a UUID (RFC 9562 section 4, lower case): the same id has the same bytes
# on the log.
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


def parse(kind: type[Parsed], raw: bytes) -> Parsed:
    """Return the message; raises MESSAGE_MALFORMED, without the decoder's text."""
    try:
        return kind.FromString(raw)
    except (DecodeError, UnicodeDecodeError):
        raise refuse(Reason.MESSAGE_MALFORMED) from None


def identify(call: Call, request: Message) -> None:
    """Take the caller's request id for leaf and status.

    Raises FIELD_INVALID when it is missing or no UUID.

    A list's filter of the same name is no id of the call: messages with a page token are left
    alone.
    """
    fields = request.DESCRIPTOR.fields_by_name
    if "request_id" not in fields or "page_token" in fields:
        return
    given = request.request_id  # type: ignore[attr-defined] # the descriptor says so
    if not is_id(given):
        raise invalid("request_id", "REQUEST-ID", "A UUID in lower case.", "须为小写 UUID。")
    call.request_id = given
    call.note(request_id=given)


def invalid(field: str, rule: str, english: str, chinese: str) -> Refusal:
    """Return FIELD_INVALID for one field; the texts name the rule, never the value."""
    return refuse(Reason.FIELD_INVALID, violations=(Violation(field, rule, english, chinese),))


def require_reason(reason: str) -> None:
    """Pass a change that says why, in 1-200 characters; raises FIELD_INVALID.

    The words themselves stay out of the log, for they may name a person; the leaf's digest covers
    them.
    """
    if not 0 < len(reason.strip()) <= REASON_MAX:
        raise invalid("reason", "REASON", "1 to 200 characters.", "1 至 200 个字符。")


def is_id(text: str) -> bool:
    """Tell whether this is a UUID as request ids are written."""
    return _UUID.fullmatch(text) is not None


def adopt_id(call: Call, given: str) -> None:
    """Take a batch's request id for leaf and status if it is one; its flow says what is wrong."""
    if is_id(given):
        call.request_id = given
        call.note(request_id=given)


def require_impersonal(name: str, field: str) -> None:
    """Pass a name to be given that cannot be a person's number; raises FIELD_INVALID.

    Names of systems and accounts stand in every leaf of theirs, for ever.
    """
    if _PERSONAL_NUMBER.search(name):
        english = "Without a phone number or an identity number."
        raise invalid(field, "NAME-NUMBER", english, "不得含电话号码或证件号码。")
