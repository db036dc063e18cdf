from gateway.cli.tables import table


def test_columns_stand_below_each_other_also_in_chinese():
    lines = table(("code", "name"), [("1", "小店区"), ("22", "x")]).splitlines()
    assert [line.split() for line in lines if "─" not in line] == [
        ["code", "name"],
        ["1", "小店区"],
        ["22", "x"],
    ]
    assert lines[2].index("小") == lines[3].index("x")


def test_values_are_text_and_never_markup():
    assert "[red]1[/red]" in table(("a",), [("[red]1[/red]",)])
    assert table(("a",), []).split() == ["a", "─" * len(table(("a",), []).split()[-1])]
