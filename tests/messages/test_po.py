import pytest

from gateway.messages.po import PoError, parse

GOOD = """
# a comment
msgid ""
msgstr "Language: en\\n"

#: where it is used
msgid "one"
msgstr "first line\\n"
"second \\"line\\" \\\\ \\t."
"""


def test_entries_comments_escapes_and_continuation_lines():
    assert parse(GOOD.splitlines(), "x.po") == {"one": 'first line\nsecond "line" \\ \t.'}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"loose"', "x.po:1: not a line"),
        ("msgid one", "x.po:1: not a line"),
        ('msgid "a"\nmsgstr "b" trailing', "x.po:2: not a line"),
        ('msgstr "b"', "x.po:1: msgstr out of order"),
        ('msgid "a"\nmsgstr "b"\nmsgstr "c"', "x.po:3: msgstr out of order"),
        ('msgid "a"\nmsgid "b"\nmsgstr "c"', "no msgstr for 'a'"),
        ('msgid "a"', "no msgstr for 'a'"),
        ('msgid "a"\nmsgstr "b"\nmsgid "a"\nmsgstr "c"', "'a' stands there twice"),
        ('msgid_plural "a"', "x.po:1: not a line"),
    ],
)
def test_anything_else_is_refused_with_its_place(text, said):
    with pytest.raises(PoError) as caught:
        parse(text.splitlines(), "x.po")
    assert said in str(caught.value)
