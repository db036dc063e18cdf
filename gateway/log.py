"""The process log: one JSON object a line, with everything personal or secret masked.

It is for operators and may be lost; what must be kept stands on the audit log. Callers pass ids
and tags only; the masks below are the second net, for exception texts and foreign libraries. A line
that cannot be written is counted, never raised: the log must not decide what the gateway does.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, TextIO, cast

import structlog
from structlog.typing import EventDict

MASK = "***"
# Values of fields with one of these words in their name are never written.
SECRET_WORDS = frozenset(
    {"password", "passwd", "pwd", "secret", "token", "authorization", "cookie"}
)
# Deeper structures are not log fields; what lies below is masked whole.
MAX_DEPTH = 6

# Digests, serials and request ids may contain any run of digits; a value that is just one passes.
_IDENTIFIER = re.compile(
    r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
# `\d` on purpose: full-width digits are digits here.
_PERSONAL = re.compile(
    r"\d{17,}[Xx]?"  # resident card and child code (18), trace code (20)
    r"|(?<!\d)\d{14,15}(?!\d)"  # AEFI case (14), old resident card (15); microseconds have 16
    r"|(?<!\d)(?:86|0086)?1[3-9]\d{9}(?!\d)"  # mobile
    r"|(?<!\d)0\d{2,3}[- ]\d{7,8}(?!\d)"  # landline
    r"|(?<![A-Za-z0-9])[A-Z]\d{9}(?!\d)"  # birth certificate
    r"|[\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]+"  # Chinese: a name, an address
)
_SECRET = re.compile(
    r"eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)*"  # a signed token
    r"|(?i:bearer)\s+\S+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?i:password|passwd|pwd)\s*[=:]\s*\S+"
    r"|://[^/\s:@]+:[^/\s@]+@"  # user and password in a database address
)


class Logger(Protocol):
    """What a room writes to: an event in words that never change, and fields."""

    def info(self, event: str, **fields: object) -> None:
        """Write that something happened."""

    def warning(self, event: str, **fields: object) -> None:
        """Write that an operator should look."""

    def error(self, event: str, **fields: object) -> None:
        """Write that something failed."""

    def exception(self, event: str, **fields: object) -> None:
        """Write that something failed, with the traceback of the exception at hand."""


def scrub(value: object, depth: int = 0) -> object:
    """Return the value as JSON may carry it, with what looks personal or secret masked."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        text = str(value)
        return value if scrub_text(text) == text else MASK
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if depth >= MAX_DEPTH:
        return MASK
    if isinstance(value, Mapping):
        return {scrub_text(str(k)): _field(str(k), v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [scrub(item, depth + 1) for item in value]
    return scrub_text(str(value))


def scrub_text(text: str) -> str:
    """Return the text with everything masked that looks personal or secret."""
    if _IDENTIFIER.fullmatch(text):
        return text
    return _PERSONAL.sub(MASK, _SECRET.sub(MASK, text))


class _Lines:
    """Writes lines to a stream; a line that cannot be written is counted and told with the next."""

    def __init__(self) -> None:
        self.process = ""
        # None: whatever standard error is at the time.
        self.stream: TextIO | None = None
        self._lost = 0

    def msg(self, line: str) -> None:
        """Write one line."""
        stream = self.stream or sys.stderr
        try:
            if self._lost:
                stream.write(json.dumps({"event": "lines lost", "count": self._lost}) + "\n")
            stream.write(line + "\n")
            stream.flush()
        except (OSError, ValueError):  # the disk is full, or the stream was closed
            self._lost += 1
        else:
            self._lost = 0

    info = warning = error = msg


# The one sink of the process.
_LINES = _Lines()


def configure(process: str, target: TextIO | Path) -> None:
    """Send this process's log to a stream, or append it to a file; also foreign libraries' logs.

    Called once, at the start of a process. An exception that nobody catches is logged as well.
    """
    _LINES.process = process
    _LINES.stream = target.open("a", encoding="utf-8") if isinstance(target, Path) else target
    logging.basicConfig(handlers=[_Foreign()], level=logging.WARNING, force=True)
    sys.excepthook = _uncaught


def get(name: str) -> Logger:
    """Return the log of a room; before `configure` it writes to standard error."""
    bound = structlog.wrap_logger(
        _LINES,
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _scrub_fields,
            _process,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        room=name,
    )
    return cast("Logger", bound)


def _field(name: str, value: object, depth: int) -> object:
    secret = not SECRET_WORDS.isdisjoint(name.lower().replace("-", "_").split("_"))
    return MASK if secret else scrub(value, depth)


def _scrub_fields(_: object, __: str, fields: EventDict) -> EventDict:
    return {scrub_text(str(name)): _field(str(name), value, 0) for name, value in fields.items()}


def _process(_: object, __: str, fields: EventDict) -> EventDict:
    return {"process": _LINES.process, **fields}


class _Foreign(logging.Handler):
    """Brings what libraries log through `logging` onto our lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a library's record."""
        log = get(record.name)
        write = log.error if record.levelno >= logging.ERROR else log.warning
        write(record.getMessage(), exc_info=record.exc_info)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    get("process").error("uncaught exception", exc_info=(kind, error, trace))
