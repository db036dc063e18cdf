"""Names, numbers and addresses of people who do not exist.

Surnames are weighted as they are common in Shanxi, given names are those of the 2020s (general
knowledge). Phones start with 154, a block that no operator gives to people.
"""

from datetime import date
from random import Random

_SURNAMES = "王张李刘赵杨郭高武任马陈白孙闫田薛郝贾吴宋韩段曹梁胡冯常侯乔卫程范史温樊"
_SURNAME_WEIGHTS = (
    *(105, 98, 92, 60, 46, 42, 40, 32, 24, 23, 22, 21, 19, 18, 17, 16, 15, 15, 14, 13),
    *(12, 12, 11, 11, 11, 10, 10, 9, 9, 8, 7, 7, 6, 6, 5, 5),
)
# Names of two characters, written one after the other.
_BOYS = "浩宇子轩梓豪一诺沐辰宇轩奕辰铭泽俊熙子墨皓轩煜城泽宇晨曦博文景行嘉树云帆"
_GIRLS = "梓涵欣怡一诺诗涵雨桐可馨语桐若汐沐瑶佳怡思雨芷若书瑶安琪艺涵清妍乐瑶星冉"
_BOY_ENDS = "辰宇轩泽睿浩然博哲安霖尧昊诚"
_GIRL_ENDS = "涵怡妍瑶桐萱琪汐雯悦宁朵佳芮"
_WOMEN = "丽娟晓燕海霞婷婷雪梅慧敏彩霞玉芳丽娜艳红文静晋芳秀萍"
_MEN = "建军志强晓东海龙永刚文斌鹏飞晋平俊杰国栋云峰建国"
_ROADS = "迎泽府东桃园新建和平滨河平阳汾河学府云中解放长治晋阳康宁兴华"

_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECK = "10X98765432"
MALE, FEMALE = 1, 2
# For one sex, division and birthday: half of the three digits.
NUMBERS_PER_DAY = 499
# The share of children whose name is one of those that many have.
_FASHION_SHARE = 0.4


def check_digit(first_17: str) -> str:
    """Return the last character of an identity number (GB 11643-1999) for its first 17 digits."""
    total = sum(int(digit) * weight for digit, weight in zip(first_17, _ID_WEIGHTS, strict=True))
    return _ID_CHECK[total % 11]


def identity_number(division: str, born: date, serial: int, sex: int) -> str:
    """Return a valid number; `serial` 0-498 counts people of one sex, division and birthday."""
    sequence = serial % NUMBERS_PER_DAY * 2 + (1 if sex == MALE else 2)
    first_17 = f"{division}{born:%Y%m%d}{sequence:03d}"
    return first_17 + check_digit(first_17)


def surname(rng: Random) -> str:
    """Return a surname."""
    return rng.choices(_SURNAMES, _SURNAME_WEIGHTS)[0]


def given_name(rng: Random, sex: int) -> str:
    """Return a child's given name: a fashionable one, or one composed of two characters."""
    whole, ends = (_BOYS, _BOY_ENDS) if sex == MALE else (_GIRLS, _GIRL_ENDS)
    name = _pair(rng, whole)
    return name if rng.random() < _FASHION_SHARE else name[0] + rng.choice(ends)


def adult_name(rng: Random, family: str, sex: int) -> str:
    """Return the full name of an adult with the given surname."""
    return family + _pair(rng, _MEN if sex == MALE else _WOMEN)


def phone(rng: Random) -> str:
    """Return a mobile number of a block that nobody has."""
    return f"154{rng.randrange(10**8):08d}"


def street(rng: Random) -> str:
    """Return the street part of an address."""
    side = rng.choice("东西南北")
    return f"{_pair(rng, _ROADS)}{side}街{rng.randrange(1, 180)}号{rng.randrange(1, 40)}号楼"


def _pair(rng: Random, names: str) -> str:
    place = rng.randrange(len(names) // 2) * 2
    return names[place : place + 2]
