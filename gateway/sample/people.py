"""Names, numbers and addresses of people who do not exist.

Surnames are weighted as they are common in Shanxi; given names follow what parents chose in the years concerned
(both from general knowledge). Phones start with 154, a block that no operator gives to people.
"""

from datetime import date
from random import Random

_SURNAMES = "王张李刘赵杨郭高武任马陈白孙闫田薛郝贾吴宋韩段曹梁胡冯常侯乔卫程范史温樊"
_SURNAME_WEIGHTS = (
    *(105, 98, 92, 60, 46, 42, 40, 32, 24, 23, 22, 21, 19, 18, 17, 16, 15, 15, 14, 13),
    *(12, 12, 11, 11, 11, 10, 10, 9, 9, 8, 7, 7, 6, 6, 5, 5),
)
_BOYS = "浩宇 子轩 梓豪 一诺 沐辰 宇轩 奕辰 铭泽 俊熙 子墨 皓轩 煜城 泽宇 晨曦 博文 景行 嘉树 云帆".split()
_GIRLS = "梓涵 欣怡 一诺 诗涵 雨桐 可馨 语桐 若汐 沐瑶 佳怡 思雨 芷若 书瑶 安琪 艺涵 清妍 乐瑶 星冉".split()
_BOY_ENDS = "辰宇轩泽睿浩然博哲安霖尧昊诚"
_GIRL_ENDS = "涵怡妍瑶桐萱琪汐雯悦宁朵佳芮"
_WOMEN = "丽娟 晓燕 海霞 婷婷 静 雪梅 慧敏 彩霞 玉芳 丽娜 艳红 文静 晋芳 秀萍 倩".split()
_MEN = "建军 志强 晓东 伟 海龙 永刚 文斌 鹏飞 晋平 俊杰 磊 国栋 云峰 建国 超".split()
_ROADS = "迎泽 府东 桃园 新建 和平 滨河 平阳 汾河 学府 云中 解放 长治 晋阳 康宁 兴华".split()

_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECK = "10X98765432"
MALE, FEMALE = 1, 2


def check_digit(first_17: str) -> str:
    """Return the last character of an identity number (GB 11643-1999) for its first 17 digits."""
    total = sum(int(digit) * weight for digit, weight in zip(first_17, _ID_WEIGHTS, strict=True))
    return _ID_CHECK[total % 11]


def identity_number(division: str, born: date, serial: int, sex: int) -> str:
    """Return a valid number; `serial` 0-498 counts people of one sex, division and birthday."""
    sequence = serial % 499 * 2 + (1 if sex == MALE else 2)
    first_17 = f"{division}{born:%Y%m%d}{sequence:03d}"
    return first_17 + check_digit(first_17)


def surname(rng: Random) -> str:
    """Return a surname."""
    return rng.choices(_SURNAMES, _SURNAME_WEIGHTS)[0]


def given_name(rng: Random, sex: int) -> str:
    """Return a child's given name: a fashionable one, or one composed of two characters."""
    whole, ends = (_BOYS, _BOY_ENDS) if sex == MALE else (_GIRLS, _GIRL_ENDS)
    if rng.random() < 0.4:  # noqa: PLR2004  the share of children with a name of fashion
        return rng.choice(whole)
    return rng.choice(whole)[0] + rng.choice(ends)


def adult_name(rng: Random, family: str, sex: int) -> str:
    """Return the full name of an adult with the given surname."""
    return family + rng.choice(_MEN if sex == MALE else _WOMEN)


def phone(rng: Random) -> str:
    """Return a mobile number of a block that nobody has."""
    return f"154{rng.randrange(10**8):08d}"


def street(rng: Random) -> str:
    """Return the street part of an address."""
    side = rng.choice("东西南北")
    return f"{rng.choice(_ROADS)}{side}街{rng.randrange(1, 180)}号{rng.randrange(1, 40)}号楼"
