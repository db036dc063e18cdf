"""Whoever uploads is told of what was lost, in his language: sent again, proven, refused, or later."""

import pytest

from gateway.cli.output import Output
from gateway.cli.upload_losses import Losses
from gateway.client.losses import Presented
from gateway.client.sending import Again

WORDS = {
    "en": ("4 batches", "upload these files again: a.jsonl", "3 of them were proven", "1 receipts", "(STORE_AWAY)"),
    "zh": ("4 个批次", "请重新上传这些文件：a.jsonl", "3 个批次已用回执", "1 份", "（STORE_AWAY）"),
}  # fmt: skip


@pytest.mark.parametrize("lang", WORDS)
def test_all_of_it_is_told(lang, capsys):
    telling = Losses(Output(lang))
    telling.again(Again(4, 3, ("a.jsonl",)))
    telling.moved(1, 4)
    telling.moved(4, 4)
    telling.presented(Presented(3, {"RECEIPT_KEPT": 1}, "STORE_AWAY"))
    told = capsys.readouterr().err
    assert all(each in told for each in WORDS[lang]), told
    assert "RECEIPT_KEPT" in told


def test_nothing_is_said_of_nothing(capsys):
    Losses(Output("en")).presented(Presented())
    assert capsys.readouterr() == ("", "")
