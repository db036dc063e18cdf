"""A password or token in a client's memory: it shows itself only where it is asked for by name."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A secret text; printing, logging or formatting it gives `***`."""

    value: str

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__
