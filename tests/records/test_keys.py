"""Key columns: what may be readable of a record, exactly."""

from gateway.records.keys import HERE, ChildKey, DoseKey

PLACE = ("batch_id", "item_index")


def test_the_key_columns_are_those_of_the_architecture():
    """Beside them: the content tag of a card, and the place of its sealed body."""
    child = (
        "child_tag",
        "birth_date",
        "sex",
        "status",
        "status_date",
        "revision",
        "unit_code",
        "name_tag",
        "mother_tag",
    )
    assert ChildKey._fields == (*child, "content_tag", *PLACE)
    past = (
        "child_tag",
        "record_id",
        "vaccine_code",
        "dose_number",
        "vaccinated_date",
        "route",
        "site",
        "content_tag",
    )
    assert DoseKey._fields == (*past, "unit_code", "series", "revision", *PLACE)


def test_here_is_no_batch():
    assert HERE < 0
