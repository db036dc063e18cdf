"""What lies on the desk while one batch is judged.

The tables, the register, the sender, today, and a tag maker with a memory.
"""

from datetime import date, timedelta

from gateway.clock import SHANGHAI, civil_day
from gateway.records.keys import RegisteredUnit, Tagger, Units
from gateway.records.tables import Tables

# The required items that the fast judgements of cards and doses look at, or that have rules of
# their own; a policy that asks for more sends every record through all the rules.
_CARD_ITEMS = frozenset(
    [
        "child_code",
        "name",
        "sex",
        "birth_date",
        "guardians",
        "household.division_code",
        "household.detail",
        "residence.division_code",
        "residence.detail",
        "household_category",
        "residence_type",
        "status",
        "file_unit_code",
        "filed_date",
    ]
)
_DOSE_ITEMS = frozenset(
    [
        "record_id",
        "child_code",
        "lot.vaccine_code",
        "lot.manufacturer_code",
        "lot.lot_number",
        "dose_number",
        "property",
        "vaccinated_date",
        "source",
        "site",
        "route",
        "vaccinator_id",
        "unit_code",
        "entered_time",
    ]
)


class Desk:
    """The fixed context of one batch's pure rules.

    Made per batch, so that its memories never outlive the register.
    """

    __slots__ = (
        "_tagger",
        "_tags",
        "_units",
        "_within",
        "now_us",
        "organisation",
        "tables",
        "today",
        "units",
        "usual_cards",
        "usual_doses",
    )

    def __init__(
        self, tables: Tables, units: Units, tagger: Tagger, organisation: str, now_us: int
    ) -> None:
        """Judge records of `organisation` with these tables as of `now_us`."""
        self.tables = tables
        self.units = units
        self.organisation = organisation
        self.now_us = now_us
        self.today: date = civil_day(now_us)
        self.usual_cards = _CARD_ITEMS.issuperset(tables.required.child)
        self.usual_doses = _DOSE_ITEMS.issuperset(tables.required.vaccination)
        self._tagger = tagger
        self._tags: dict[str, bytes] = {}
        self._units: dict[str, RegisteredUnit | None] = {}
        self._within: dict[str, bool] = {}

    def child_tag(self, child_code: str) -> bytes:
        """Return the tag of a child code; a child often has several records in a batch."""
        tag = self._tags.get(child_code)
        if tag is None:
            tag = self._tags[child_code] = self._tagger.tag("child", child_code)
        return tag

    def tag(self, domain: str, value: str) -> bytes:
        """Return the tag of a value of a domain."""
        return self._tagger.tag(domain, value)

    def unit(self, code: str) -> RegisteredUnit | None:
        """Return the registered unit of this code."""
        if code not in self._units:
            self._units[code] = self.units.unit(code)
        return self._units[code]

    def in_scope(self, unit_code: str) -> bool:
        """Return whether the unit is the sender's, below one of its own, or delegated to it."""
        within = self._within.get(unit_code)
        if within is None:
            within = self._within[unit_code] = self._may_write_for(unit_code)
        return within

    def _may_write_for(self, unit_code: str) -> bool:
        unit = self.unit(unit_code)
        if unit is None:
            return False
        within = self.units.is_within(unit_code, self.organisation)
        return within or self.organisation in self.units.uploaders_for(unit.organisation)


# For comparisons without making a date per record: days are counted in Shanghai's time.
UTC_OFFSET_S = int((SHANGHAI.utcoffset(None) or timedelta()).total_seconds())
SECONDS_PER_DAY = 86_400
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


def ordinal_of_seconds(seconds: int) -> int:
    """Return the proleptic ordinal of the civil day of a Timestamp's seconds."""
    return (seconds + UTC_OFFSET_S) // SECONDS_PER_DAY + EPOCH_ORDINAL
