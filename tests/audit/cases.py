"""What the verifier is tried with when one of its checks is taken away: every case of the ordinary tests, as values.

A case asks modules that are handed in (`tests/audit/mutation.py`), so that a changed one answers, and returns all it said.
What is right stands in the tests that these tables are taken from.
"""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from gateway.tlog.checkpoint import Checkpoint
from gateway.tlog.merkle import consistency_path, inclusion_path, leaf_hash, root_of
from gateway.tlog.note import Signer, sign
from tests.attacks import test_log_keys as log_keys
from tests.attacks.test_audit_log import ATTACKS, OUTSIDE
from tests.audit import test_judging as judging
from tests.audit.folder import (
    NOW_US,
    ORIGIN,
    SECOND,
    SIGNER,
    THIRD,
    cosigned,
    key_leaf,
    leaf,
    note_keys,
    quorum,
    signed,
    succession,
    witness,
    write,
)  # fmt: skip
from tests.audit.test_beside import BESIDE, CLAIMS, NAMES, foretold, parted, pruned_part
from tests.audit.test_beside import ENTRIES as PARTED
from tests.audit.test_verify import DAMAGES, ENTRIES, PRUNED, pruned
from tests.tlog import (
    test_checkpoint,
    test_cosignature,
    test_keys,
    test_leaf,
    test_merkle,
    test_note,
    test_policy,
    test_vectors,
)

Modules = Mapping[str, ModuleType]
NOW_S = NOW_US // 10**6
# A mutant that never ends gives no answer; the longest case takes a hundredth of this.
ENDLESS_CPU_S = 3


@dataclass(frozen=True, slots=True)
class Case:
    """A name, the module that it is closest to, and what is asked of the modules."""

    name: str
    about: str
    ask: Callable[[Modules], object]


def outcome(case: Case, modules: Modules) -> str:
    """All that is said; of an error its name and code."""
    signal.signal(signal.SIGVTALRM, endless)
    signal.setitimer(signal.ITIMER_VIRTUAL, ENDLESS_CPU_S)
    try:
        return repr(case.ask(modules))
    except Exception as error:  # noqa: BLE001  whatever a mutant stumbles over is another answer
        return f"{type(error).__name__} {getattr(error, 'code', '')}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def endless(*_: object) -> None:
    raise RuntimeError("no end")


def table(function: Any) -> Sequence[Any]:
    """The table of a parametrized test."""
    return function.pytestmark[0].args[1]


def first(row: Any) -> Any:
    return row[0] if isinstance(row, tuple) else row


def texts() -> Iterator[Case]:
    """Texts, each to its parser."""
    tables = {
        "note": (table(test_note.test_malformed_notes), lambda m, raw: m["gateway.tlog.note"].open_note(raw, [m["gateway.tlog.note"].parse_vkey(str(test_note.SIGNER.verifier))])),
        "note keys": ([*table(test_note.test_malformed_verification_keys), (test_note.EXAMPLE_KEY, "")], lambda m, raw: str(m["gateway.tlog.note"].parse_vkey(raw))),
        "note secrets": ([*table(test_note.test_malformed_signing_keys), (test_note.NEUMANN_SECRET, "")], lambda m, raw: str(m["gateway.tlog.note"].parse_skey(raw).verifier)),
        "note names": (table(test_note.test_names_that_notes_cannot_carry), lambda m, raw: m["gateway.tlog.note"].Verifier(raw, bytes(32)).name),
        "note signed": (["", "no newline", "tab\t\n", "good\n"], lambda m, raw: m["gateway.tlog.note"].sign(raw, m["gateway.tlog.note"].parse_skey(test_note.NEUMANN_SECRET))),
        "checkpoint": (table(test_checkpoint.test_malformed_checkpoints), lambda m, raw: m["gateway.tlog.checkpoint"].parse(raw)),
        "policy": ([*table(test_policy.test_what_is_no_policy), test_policy.EXAMPLE, f"log {SIGNER.verifier} https://a\nquorum none\n", "# \x01\nquorum none\n"], lambda m, raw: m["gateway.tlog.policy"].parse(raw).text()),
        "leaf": ([*table(test_leaf.test_what_is_not_canonical), *LEAVES], lambda m, raw: m["gateway.tlog.leaf"].parse(raw)),
        "leaf values": (table(test_leaf.test_what_has_no_canonical_form), lambda m, value: m["gateway.tlog.leaf"].encode(value)),
    }  # fmt: skip
    for about, (rows, ask) in tables.items():
        for number, row in enumerate(rows):
            yield Case(
                f"{about} {number}",
                f"gateway.tlog.{about.split()[0]}",
                lambda m, ask=ask, row=row: ask(m, first(row)),
            )


LEAVES = [
    b'{"a":0,"b":[true,false],"c":{"d":"e"}}',
    b'{"a":"x y"}',
    '{"a":"é中"}'.encode(),
    b'{"a":"x"' + b" " * 9 + b"}",
    b'{"a":[[[[[[[[]]]]]]]]}',
    b'{"a":[[[[[[[]]]]]]]}',
    b'{"a":"' + b"x" * 65_540 + b'"}',
    b'{"a":"\x7f"}',
    b'{"a":[0,-0]}',
    b'{"a":[-0]}',
    b'{"a":1,"b":-0}',
    b'{"a":9007199254740991}',
    b'{"a":[9007199254740992]}',
    b'{"a":[{"c":1,"b":1}]}',
    b'{"a":[1,null]}',
    b'{"\x7f":1}',
    b'{"\x7f":"x"}',
    b'{"a":{"\xc2\x80":1}}',
]


def proofs() -> Iterator[Case]:
    """Proofs within and beyond their bounds, and the published vectors."""
    rows = [*table(test_merkle.test_bounds_of_inclusion)]
    hashes = [leaf_hash(each) for each in ENTRIES[:9]]
    node = lambda level, n: root_of(hashes[n << level : (n + 1) << level])  # noqa: E731
    rows += [((hashes[i], i, 9, inclusion_path(node, i, 9), root_of(hashes)), "") for i in range(9)]
    for number, row in enumerate(rows):
        yield Case(
            f"inclusion {number}",
            "gateway.tlog.merkle",
            lambda m, row=row: m["gateway.tlog.merkle"].verify_inclusion(*row[0]),
        )
    rows = [*table(test_merkle.test_bounds_of_consistency)]
    other = leaf_hash(b"other")
    for old in range(1, 9):
        path, roots = consistency_path(node, old, 9), (root_of(hashes[:old]), root_of(hashes))
        rows += [((old, 9, path, *roots), "")]
        rows += [((old, 9, path, other, roots[1]), ""), ((old, 9, path, roots[0], other), "")]
        rows += [((old, 9, [*path, other], *roots), ""), ((old, 9, path[:-1], *roots), "")]
    for number, row in enumerate(rows):
        yield Case(
            f"consistency {number}",
            "gateway.tlog.merkle",
            lambda m, row=row: m["gateway.tlog.merkle"].verify_consistency(*row[0]),
        )
    makers = {
        "inclusion_path": [(-1, 5), (5, 5), (4, 5)],
        "consistency_path": [(5, 4), (-1, 4), (3, 9), (0, 9), (9, 9), (4, 9)],
    }
    for name, arguments in makers.items():
        for one in arguments:
            yield Case(
                f"{name} {one}",
                "gateway.tlog.merkle",
                lambda m, name=name, one=one: getattr(m["gateway.tlog.merkle"], name)(node, *one),
            )
    vectors = test_vectors.VECTORS
    good = [
        {"what": one["file"], "proof": (test_vectors.FOLDER / one["file"]).read_text(encoding="utf-8"), "entry": one["entry"]}
        for one in vectors["receipts"]
    ]  # fmt: skip
    for one in [*vectors["refused"], *good, *spoilt(good[-2]["proof"], good[-2]["entry"])]:
        yield Case(
            f"receipt {one['what']}", "gateway.tlog.proof", lambda m, one=one: receipt(m, one)
        )


def spoilt(text: str, entry: str) -> Iterator[dict[str, str]]:
    lines = text.split("\n")
    for what, proof in {
        "no header": "\n".join(lines[1:]),
        "no gap": text.replace("\n\n", "\n"),
        "no index": "\n".join([lines[0], *lines[3:]]),
        "nothing but a header": f"{lines[0]}\n\nx",
        "no base64": text.replace(lines[3], "!" * 44),
        "other base64": text.replace(lines[3], lines[3][:-2] + "B="),
        "a header and extra alone": f"{lines[0]}\n{lines[1]}\n\nx",
        "64 hashes": text.replace(lines[3], "\n".join([lines[3]] * 64)),
        "63 hashes": text.replace(lines[3], "\n".join([lines[3]] * 54)),
    }.items():
        yield {"what": what, "proof": proof, "entry": entry}


def receipt(m: Modules, one: Mapping[str, str]) -> object:
    keys = m["gateway.tlog.keys"].LogKeys.of(
        m["gateway.tlog.note"].parse_vkey(test_vectors.VECTORS["log"]["vkey"])
    )
    known = [
        m["gateway.tlog.cosignature"].parse_vkey(each["vkey"])
        for each in test_vectors.VECTORS["witnesses"].values()
    ]  # fmt: skip
    read = m["gateway.tlog.proof"].parse(one["proof"])
    size = read.verify(one["entry"].encode(), keys).size
    found = m["gateway.tlog.cosignature"].verified(read.checkpoint, known)
    return size, read.text(), [(str(each.key), each.time_s) for each in found]


def keys() -> Iterator[Case]:
    """Lists of keys that grow, fork, overlap and end."""
    n = "gateway.tlog.note"
    vkey = str(test_note.SIGNER.verifier)
    for count in (100, 101):
        many = "text\n\n" + test_note.SIGNER.line("text\n") * count
        yield Case(
            f"{count} lines", n, lambda m, raw=many: m[n].open_note(raw, [m[n].parse_vkey(vkey)])
        )
    yield Case("a key and its text", n, lambda m: m[n].parse_vkey(vkey) == vkey)
    cut = f"log\n1\n{test_checkpoint.B64}\nextension"
    yield Case(
        "a last line that does not end",
        "gateway.tlog.checkpoint",
        lambda m: m["gateway.tlog.checkpoint"].parse(cut),
    )
    ordinary = [test_keys.succession(test_keys.FIRST, test_keys.SECOND)]
    lists: dict[str, Sequence[str]] = {"none": [], "one": ordinary, "twice": ordinary * 2}
    lists |= {name: [raw] for name, (raw, _) in test_keys.FORGED.items()}
    s = succession
    fourth = Signer(ORIGIN, bytes([4]) * 32)
    ours = {
        "chain": [s(SECOND, THIRD, 9), s(SIGNER, SECOND, 5)],
        "strange": [s(THIRD, fourth, 9)],
        "other size": [s(SIGNER, SECOND, 5), s(SIGNER, SECOND, 6)],
        "fork": [s(SIGNER, SECOND, 5), s(SIGNER, THIRD, 6)],
        "two before": [s(SIGNER, SECOND, 5), s(THIRD, SECOND, 5)],
        "comes again": [s(SIGNER, SECOND, 5), s(SECOND, SIGNER, 6)],
        "before its begin": [s(SIGNER, SECOND, 5), s(SECOND, THIRD, 4)],
        "itself": [s(SIGNER, SIGNER, 5)],
        "back": [s(fourth, SIGNER, 5), s(THIRD, fourth, 3)],
        "back, too late": [s(fourth, SIGNER, 5), s(THIRD, fourth, 6)],
    }
    for group, trusted in ((lists, test_keys.FIRST), (ours, SIGNER)):
        for name, notes in group.items():
            yield Case(
                f"keys {name}",
                "gateway.tlog.keys",
                lambda m, notes=notes, trusted=trusted: followed(m, trusted, notes),
            )
    for size in (4, 5, 6):
        for signers in ([SIGNER], [SECOND], [SECOND, SIGNER], [THIRD], [THIRD, SECOND]):
            raw = Checkpoint(ORIGIN, size, bytes(32)).signed(*signers)
            yield Case(
                f"key of {size}",
                "gateway.tlog.keys",
                lambda m, raw=raw: opened(m, raw, [s(SIGNER, SECOND, 5)]),
            )
    false = Checkpoint(ORIGIN, 6, bytes(32)).signed(SECOND) + SIGNER.line("another\n")
    yield Case(
        "a false line beyond its range",
        "gateway.tlog.keys",
        lambda m: opened(m, false, [s(SIGNER, SECOND, 5)]),
    )
    for raw in (sign("log\n", SIGNER), Checkpoint("other", 3, bytes(32)).signed(SIGNER)):
        yield Case(
            "no checkpoint of ours",
            "gateway.tlog.checkpoint",
            lambda m, raw=raw: opened(m, raw, []),
        )


def followed(m: Modules, trusted: Signer, notes: Sequence[str]) -> object:
    known = m["gateway.tlog.keys"].LogKeys.of(
        m["gateway.tlog.note"].parse_vkey(str(trusted.verifier)), notes
    )
    return m["gateway.tlog.keys"].told(known.ranges)


def opened(m: Modules, raw: str, notes: Sequence[str]) -> object:
    return (
        m["gateway.tlog.keys"]
        .LogKeys.of(m["gateway.tlog.note"].parse_vkey(str(SIGNER.verifier)), notes)
        .open(raw)
    )


def shapes() -> Iterator[Case]:
    """Frontiers, bundles and leaves that cannot be."""
    f, t = "gateway.tlog.frontier", "gateway.tlog.tiles"
    for size, hashes in (
        (0, []),
        (3, [bytes(32)]),
        (-1, [bytes(32)]),
        (1, [b"short"]),
        (0, [bytes(32)]),
        (1, [bytes(32)]),
    ):
        yield Case("frontier", f, lambda m, a=(size, hashes): m[f].Frontier(*a).size)
    yield Case(
        "subtree within another",
        f,
        lambda m: m[f].Frontier(1, [bytes(32)]).append_subtree(bytes(32), 1),
    )
    for length in (65_535, 65_536):
        yield Case("bundle", t, lambda m, n=length: len(m[t].pack_bundle([bytes(n)])))
    leaf_ = "gateway.tlog.leaf"
    yield Case("a leaf too long to write", leaf_, lambda m: m[leaf_].encode({"a": "x" * 65_528}))
    printable = {"zero\u200bwidth": "zero\u200bwidth", "a": ["zero\u200bwidth"]}
    yield Case("not printable, and no control", leaf_, lambda m: m[leaf_].encode(printable))


def witnesses() -> Iterator[Case]:
    """Cosignatures true and false, and who suffices."""
    made = test_cosignature
    lines = {
        one.key: one.line(made.HEAD.text(), made.TIME_S) for one in (made.W1, made.W2, made.LATTICE)
    }
    known = [str(key) for key in lines]
    everyone = made.SIGNED + "".join(lines.values())
    other = made.HEAD.text().replace("\n7\n", "\n8\n")
    false = [made.SIGNED + one.line(other, 1) for one in (made.W1, made.LATTICE)]
    short = [made.SIGNED + f"{line[:40]}\n" for line in lines.values()]
    late = made.SIGNED + made.W1.line(made.HEAD.text(), 2**63)
    cut = made.SIGNED + clipped(lines[made.W1.key], 4 + 8 + 63)
    twice = made.SIGNED + lines[made.W1.key] * 2
    for number, raw in enumerate([made.SIGNED, everyone, *false, *short, late, cut, twice]):
        yield Case(
            f"cosigned {number}",
            "gateway.tlog.cosignature",
            lambda m, raw=raw: cosigners(m, raw, known),
        )
    c = "gateway.tlog.cosignature"
    again = made.SIGNED + lines[made.W1.key] + made.W1.line(other, 1)
    yield Case("a second line of a key, false", c, lambda m: cosigners(m, again, known))
    yield Case("a log's secret", c, lambda m: m[c].parse_skey(SIGNER.secret_line()))
    yield Case("a key and its text", c, lambda m: m[c].parse_vkey(known[0]) == known[0])
    bad = [
        "",
        "x",
        known[0].replace("+", "-", 1),
        known[0][:-4],
        known[0].replace("w1+", "w1+0"),
        str(SIGNER.verifier),
    ]
    bad += [
        f"{known[0].split('+')[0]}+00000000+{known[0].split('+', 2)[2]}",
        f"a+00000000+{'A' * 43}",
    ]
    for number, raw in enumerate(
        [*bad, *known, *map(secret, (made.W1, made.LATTICE)), secret(made.W1)[:-8]]
    ):
        yield Case(f"witness key {number}", c, lambda m, raw=raw: str(m[c].parse_vkey(raw)))
        yield Case(f"witness secret {number}", c, lambda m, raw=raw: str(m[c].parse_skey(raw).key))
    other_id = secret(made.W1).replace(made.W1.key.key_id.hex(), "00000000")
    yield Case("witness secret of another id", c, lambda m: m[c].parse_skey(other_id))
    for number, arguments in enumerate(
        [("", 4, bytes(32)), ("a b", 4, bytes(32)), ("a", 5, bytes(32)), ("a", 4, bytes(31)), ("a" * 256, 6, bytes(1312)), ("a" * 256, 4, bytes(32))]
    ):  # fmt: skip
        yield Case(f"witness of {number}", c, lambda m, a=arguments: m[c].WitnessKey(*a).name)
    yield Case("a seed too short", c, lambda m: m[c].Cosigner("a", 4, bytes(31)))
    for name, origin in (("a", ""), ("a", "b" * 256), ("", "b"), ("a", "b" * 255)):
        yield Case(
            "subtree",
            c,
            lambda m, n=name, o=origin: m[c].subtree_message(
                n, 0, o, begin=0, end=1, root=bytes(32)
            ),
        )
    yield Case(
        "no checkpoint is cosigned", c, lambda m: m[c].Cosigner("a", 4, bytes(32)).line("a\n", 1)
    )
    yield Case(
        "another key of its name",
        c,
        lambda m: [
            m[c].WitnessKey("a", 4, bytes(32)) == one
            for one in (m[c].WitnessKey("a", 4, bytes(32)), m[c].WitnessKey("b", 4, bytes(32)), 1)
        ],
    )
    names = test_policy.NAMES
    for some in ((), names[:2], names[:4], names[1:4], names[3:], (names[0], names[0], names[4])):
        raw = test_policy.cosigned(*some)
        for text in (test_policy.EXAMPLE, "quorum none\n", f"{test_policy.WITNESSES}quorum X1\n"):
            yield Case(
                f"judged {len(some)}",
                "gateway.tlog.policy",
                lambda m, raw=raw, text=text: judged(m, text, raw),
            )
    for asked in range(4):
        yield Case(
            f"of organisations {asked}",
            "gateway.tlog.policy",
            lambda m, asked=asked: organisations(m, asked),
        )


def clipped(line: str, length: int) -> str:
    import base64

    head, _, encoded = line.rstrip("\n").rpartition(" ")
    return f"{head} {base64.b64encode(base64.b64decode(encoded)[:length]).decode()}\n"


def secret(one: Any) -> str:
    return str(one.secret_line())


def cosigners(m: Modules, raw: str, known: Sequence[str]) -> object:
    c = m["gateway.tlog.cosignature"]
    return [
        (str(one.key), one.time_s)
        for one in c.verified(raw, [c.parse_vkey(each) for each in known])
    ]


def judged(m: Modules, text: str, raw: str) -> object:
    enough, found = m["gateway.tlog.policy"].parse(text).judge(raw)
    return enough, len(found)


def organisations(m: Modules, asked: int) -> object:
    vkeys = [str(witness(number).key) for number in (1, 2, 3)]
    given = [
        (name, m["gateway.tlog.cosignature"].parse_vkey(each))
        for name, each in zip("aab", vkeys, strict=True)
    ]
    return m["gateway.tlog.policy"].by_organisation([], given, asked).text()


def leaves() -> Iterator[Case]:
    """What leaves say together."""
    back, j = -7200_000_000, judging
    begin = [leaf(i, kind="export.begin", request_id=f"r{i}") for i in range(3)]
    end = [leaf(10 + i, kind="export.end", request_id=f"r{i}") for i in (0, 2)]
    groups = [
        *([leaf(0), entry] for entry, _ in table(j.test_broken_leaves)),
        [leaf(0), leaf(5, decision="deny"), leaf(3)],
        [leaf(0, version=2)],
        [leaf(0), leaf(back), leaf(back + 1)],
        [leaf(0), leaf(back, kind="log.clock"), leaf(back + 1)],
        [leaf(0), leaf(back, kind="log.clock"), leaf(7), leaf(back + 1)],
        [leaf(0), leaf(1), leaf(0)],
        [*begin, *end, leaf(20, kind="other.end")],
        [leaf(j.TIME_SLACK_US), leaf(0)],
        [leaf(j.TIME_SLACK_US + 1), leaf(0)],
        [leaf(0)] * (j.NOTICES_MAX + 1),
        [leaf(0)] * (j.NOTICES_MAX + 6),
        [key_leaf(0, SIGNER, SECOND, 5)],
        [key_leaf(0, SIGNER, SECOND, 6)],
        [leaf(0, kind="log.key", detail="x")],
        [leaf(0, kind="log.key")],
        [leaf(0), leaf(1, kind="backup.restore", detail={"cause": "disk-lost"})],
        [leaf(0), leaf(1, kind="backup.restore", decision="error", detail={"cause": "refused"})],
    ]  # fmt: skip
    for number, group in enumerate(groups):
        yield Case(
            f"leaves {number}", "gateway.audit.judging", lambda m, group=group: together(m, group)
        )


def together(m: Modules, entries: Sequence[bytes]) -> object:
    one = m["gateway.audit.judging"].Judging(sizes={1, len(entries)})
    for index, entry in enumerate(entries):
        one.read(index, entry, leaf_hash(entry))
    for ahead in (61, 59):
        one.seen(1, NOW_S - ahead)
    one.finish(
        m["gateway.tlog.keys"].LogKeys.of(
            m["gateway.tlog.note"].parse_vkey(str(SIGNER.verifier)), [succession(SIGNER, SECOND, 5)]
        )
    )
    return (
        [(each.code, each.where) for each in (*one.failures, *one.notices)],
        one.decisions,
        one.kinds,
        one.first_us,
        one.last_us,
    )


def folders(root: Path) -> Iterator[Case]:
    """Exported folders: every damage and attack, witnesses, keys, entries left out."""
    few, count = ENTRIES, iter(range(10_000))

    def place() -> Path:
        return root / f"log{next(count)}"

    for name, (damage, _) in DAMAGES.items():
        folder = write(place(), few)
        damage(folder)
        yield asked(name, folder)
    for name, (attack, _, _) in ATTACKS.items():
        folder = place()
        attack(folder)
        yield asked(name, folder)
        yield asked(f"{name}, with a checkpoint", folder, older=[OUTSIDE])
    whole = write(place(), few)
    for size in (0, 1, 256, 300, 512, 600):
        yield asked(f"older {size}", whole, older=[signed(few[:size])])
    for number, raw in enumerate(
        [signed([*few, few[0]]), signed([leaf(9)]), "nonsense", signed(few[1:257])]
    ):
        yield asked(f"older that does not fit {number}", whole, older=[raw, signed(few[:256])])
    both = write(place(), few)
    for path in ("tile/entries/000", "tile/0/000"):
        (both / path).unlink()
    yield asked("a bundle and its tile", both)
    for number, (said, gone, accepted, _) in enumerate(PRUNED):
        yield asked(f"left out {number}", pruned(place(), said, gone), minimum=accepted)
    tile = pruned(place(), b"512\n", 2)
    (tile / "tile/0/000").unlink()
    yield asked("a tile left out", tile, minimum=512)
    yield from vouched(place)
    yield from keyed(place)
    yield from side_parts(place)


def side_parts(place: Callable[[], Path]) -> Iterator[Case]:
    """Side parts: every damage, every claim of a leaf, every name."""
    yield asked("parts", parted(place()))
    for name, (damage, _) in BESIDE.items():
        folder = parted(place())
        damage(folder)
        yield asked(name, folder)
    for name, (entry, _) in CLAIMS.items():
        yield asked(f"destroyed {name}", parted(place(), [*PARTED, entry], (3,)))
        yield asked(f"destroyed {name}, and there", parted(place(), [*PARTED, entry]))
    for number, said in enumerate(NAMES):
        yield asked(f"a part's name {number}", parted(place(), [leaf(0, sealed=said)]))
    yield asked("foretold", foretold(place()))
    for target in (3, 270, 299, 300):
        yield asked(f"of {target} left out", pruned_part(place(), target), minimum=300)


def vouched(place: Callable[[], Path]) -> Iterator[Case]:
    few = ENTRIES
    kept = {
        "300": cosigned(few[:300], 1, 2),
        "500": cosigned(few[:500], 2),
        "512": cosigned(few[:512], 1),
    }
    folder = beside(write(place(), few), "cosigned", kept)
    policies = {
        "two": quorum(2, 1, 2, 3),
        "one": quorum(1, 3),
        "asks none": quorum(0, 1),
        "either": quorum(1, 1),
    }
    for name, policy in policies.items():
        yield asked(f"vouched, {name}", folder, policy=policy.text())
        yield asked(
            f"vouched, brought, {name}",
            write(place(), few),
            policy=policy.text(),
            older=[kept["300"]],
        )
        own = beside(
            beside(write(place(), few), "cosigned", kept), "", {"witness-policy": policy.text()}
        )
        yield asked(f"vouched, its own, {name}", own)
        yield asked(
            f"vouched, its own, {name}, but another is brought", own, policy=quorum(0, 3).text()
        )
    yield asked("vouched, no policy of its own", folder)
    yield asked("newest", write(place(), few, cosigned(few, 1, 2)), policy=policies["two"].text())
    yield asked(
        "newest, another quorum",
        write(place(), few, cosigned(few, 1)),
        policy=policies["two"].text(),
    )
    yield asked(
        "its own policy is none", beside(write(place(), few), "", {"witness-policy": "quorum\n"})
    )
    of_other = f"log {Signer('other/log', bytes(32)).verifier}\nquorum none\n"
    for text in (of_other, of_other + f"log {SIGNER.verifier}\n", "quorum none\n"):
        yield asked("a policy of which log", write(place(), few), policy=text)
    false = {
        "400": signed(few[:400])
        + witness(1).line(signed(few[:9]).rpartition("\n\n")[0] + "\n", NOW_S)
    }
    yield asked(
        "false", beside(write(place(), few), "cosigned", false), policy=policies["either"].text()
    )
    other = {"300": cosigned(few[1:301], 1), "9": "nonsense", "601": cosigned([*few, few[0]], 1)}
    yield asked(
        "of another log",
        beside(write(place(), few), "cosigned", other),
        policy=policies["either"].text(),
    )
    for time_s in (NOW_S - 7200, NOW_S - 30):
        early = {"300": cosigned(few[:300], 1, time_s=time_s)}
        yield asked(
            f"ahead {time_s}",
            beside(write(place(), few), "cosigned", early),
            policy=policies["either"].text(),
        )


def keyed(place: Callable[[], Path]) -> Iterator[Case]:
    made = log_keys
    for size, signers in (
        (599, [SIGNER]),
        (601, [SIGNER]),
        (599, [SECOND]),
        (601, [SECOND]),
        (1000, [THIRD]),
    ):
        yield asked(f"keys at {size}", made.folder_of(place(), size, *signers))
    for name, (raw, _) in made.FORGED.items():
        yield asked(f"note {name}", made.folder_of(place(), 602, made.THIEF, SECOND, notes=(raw,)))
    yield asked(
        "a list that is short",
        note_keys(write(place(), made.ENTRIES, signed(made.ENTRIES, SIGNER))),
    )


def large(root: Path) -> Case:
    """A log whose tiles of level 1 are complete, one of them changed; only what nothing else notices needs it."""
    folder = root / "large"
    if not folder.exists():
        write(folder, [leaf(i) for i in range(65_536 + 256 + 3)])
        path = folder / "tile/1/000"
        path.write_bytes(bytes(32) + path.read_bytes()[32:])
    return asked("an upper tile that is complete", folder)


def beside(folder: Path, place: str, files: Mapping[str, str]) -> Path:
    for name, content in files.items():
        path = folder / place / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    return folder


def asked(
    name: str, folder: Path, *, older: Sequence[str] = (), policy: str = "", minimum: int = 0
) -> Case:
    def ask(m: Modules) -> object:
        trusted = m["gateway.tlog.note"].parse_vkey(str(SIGNER.verifier))
        brought = m["gateway.tlog.policy"].parse(policy) if policy else None
        steps: list[tuple[int, int]] = []
        report = m["gateway.audit.verify"].verify_folder(
            folder,
            trusted,
            older=older,
            policy=brought,
            minimum=minimum,
            progress=lambda *step: steps.append(step),
        )
        vouching = [report.witnessed(quorum=asked) for asked in (False, True)]
        return (
            [(each.code, each.where) for each in (*report.failures, *report.notices)],
            [(one.where, one.checkpoint.size, one.witnesses, one.quorum) for one in report.older],
            [one and one.checkpoint.size for one in vouching],
            report.older_sizes, report.minimum, report.judging.decisions, len(report.keys.ranges), steps,
            report.judging.beside.whole, report.judging.beside.shredded,
        )  # fmt: skip

    return Case(name, "gateway.audit.verify", ask)


def every(root: Path) -> list[Case]:
    """All cases but the large one."""
    return [*texts(), *proofs(), *keys(), *shapes(), *witnesses(), *leaves(), *folders(root)]
