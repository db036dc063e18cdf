"""Takes each check of the verifier away in turn: the modules are read, changed by one thing, and run side by side.

`mutants` is for other modules, too (tests/exports/mutation.py).

A check is a `raise`, a failure or notice that is noted, a call for its effect alone, or one part of a condition joined by
`and` or `or`, also a whole condition that returns; not the condition of a loop, which would not end. Only the changed module is compiled anew; all of them are made again for each
mutant, apart from those of the process.
"""

import ast
import builtins
import copy
import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).parents[2]
# In the order in which they import one another; what else they import is the process's.
MODULES = (
    "gateway.config.log_keys",
    *("gateway.tlog.merkle", "gateway.tlog.frontier", "gateway.tlog.leaf", "gateway.tlog.tiles"),
    *("gateway.tlog.note", "gateway.tlog.checkpoint", "gateway.tlog.keys", "gateway.tlog.proof"),
    *("gateway.tlog.cosignature", "gateway.tlog.policy", "gateway.tlog.contradiction"),
    *("gateway.tlog.side_parts", "gateway.audit.failures"),
    *("gateway.audit.beside", "gateway.audit.judging", "gateway.audit.witnessing"),
    *("gateway.audit.verify", "gateway.cli.audit_verify"),
)
# Of these only what verifies: what makes proofs and roots is not the verifier's, but is compared with others', and what
# a mirror asks of side parts has its own tests.
_VERIFYING = {
    "gateway.tlog.merkle": {
        "verify_inclusion",
        "verify_consistency",
        "_verify_growth",
        "_check_hashes",
    },
    "gateway.tlog.side_parts": {"read"},
}
# What keeps things in mind and checks nothing.
_KEEPING = {"append", "extend", "add", "pop", "update", "insert", "setdefault", "append_subtree"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module with one thing changed: which, the function and what was changed in it, and its syntax."""

    module: str
    change: str
    tree: ast.Module


def path(module: str) -> Path:
    return ROOT / f"{module.replace('.', '/')}.py"


@functools.cache
def parsed(module: str) -> ast.Module:
    return ast.parse(path(module).read_text(encoding="utf-8"))


@functools.cache
def compiled(module: str) -> CodeType:
    return compile(parsed(module), str(path(module)), "exec")


def load(mutant: Mutant | None = None) -> dict[str, ModuleType]:
    """The verifier's modules, one of them as the mutant has it, importing one another.

    Those before it are as they always are.
    """
    made: dict[str, ModuleType] = {}
    begin = 0
    if mutant is not None:
        begin = MODULES.index(mutant.module)
        made |= {name: one for name, one in _whole().items() if name in MODULES[:begin]}

    def importing(name: str, *rest: object) -> object:
        if name in made:
            return made[name]
        packages = {"gateway.config", "gateway.tlog", "gateway.audit"}
        found = builtins.__import__(name, *rest)
        if name in packages:
            # `from gateway.tlog import leaf` takes an attribute of the package.
            attributes = vars(sys.modules[name]) | {
                each.rpartition(".")[2]: one for each, one in made.items() if each.startswith(name)
            }
            package = ModuleType(name)
            vars(package).update(attributes)
            return package
        return found

    for name in MODULES[begin:]:
        module = ModuleType(name)
        module.__dict__["__builtins__"] = vars(builtins) | {"__import__": importing}
        # Dataclasses look their module up.
        made[name] = module
        changed = mutant is not None and mutant.module == name
        code = compile(mutant.tree, name, "exec") if changed and mutant else compiled(name)
        before = sys.modules.get(name)
        sys.modules[name] = module
        try:
            exec(code, module.__dict__)
        finally:
            if before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = before
    return made


@functools.cache
def _whole() -> dict[str, ModuleType]:
    return load()


def mutants(module: str) -> Iterator[Mutant]:
    """Every mutant of a module, named by the function and the text of what is taken away."""
    seen: dict[str, int] = {}
    for place in _places(module, parsed(module)):
        tree = copy.deepcopy(parsed(module))
        change = place(tree)
        seen[change] = seen.get(change, 0) + 1
        more = f" #{seen[change]}" if seen[change] > 1 else ""
        yield Mutant(module, change + more, ast.fix_missing_locations(tree))


Place = Callable[[ast.Module], str]


def _places(module: str, tree: ast.Module) -> Iterator[Place]:
    """Each place to change, as what changes it in a copy of the tree and returns its name."""
    loops = [
        one for node in ast.walk(tree) if isinstance(node, ast.While) for one in ast.walk(node.test)
    ]
    for number, node in enumerate(ast.walk(tree)):
        if node in loops or (
            module in _VERIFYING and _function(tree, node) not in _VERIFYING[module]
        ):
            continue
        if _is_check(node):
            yield functools.partial(_without, number)
        elif isinstance(node, ast.BoolOp):
            for part in range(len(node.values)):
                yield functools.partial(_without_part, number, part)
        elif isinstance(node, ast.If) and not isinstance(node.test, ast.BoolOp) and _guards(node):
            yield functools.partial(_never, number)


def _is_check(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise):
        return True
    if not isinstance(node, ast.Expr):
        return False
    called = node.value.value if isinstance(node.value, ast.Await) else node.value
    if not isinstance(called, ast.Call):
        return False
    named = getattr(called.func, "attr", getattr(called.func, "id", ""))
    if named in _KEEPING:
        return any("Failure(" in ast.unparse(one) for one in called.args)
    return True


def _guards(node: ast.If) -> bool:
    """Whether the body is more than what is a mutant by itself: it returns or goes on."""
    return isinstance(node.body[-1], ast.Return | ast.Continue)


def _at(tree: ast.Module, number: int) -> ast.AST:
    return next(node for place, node in enumerate(ast.walk(tree)) if place == number)


def _function(tree: ast.Module, wanted: ast.AST) -> str:
    """The name of the innermost function or class that holds a node."""
    name = "module"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and any(
            one is wanted for one in ast.walk(node)
        ):
            name = node.name
    return name


def _without(number: int, tree: ast.Module) -> str:
    node = _at(tree, number)
    told = f"{_function(tree, node)}: without {_short(node)}"
    for holder in ast.walk(tree):
        for body in (getattr(holder, name, None) for name in ("body", "orelse", "finalbody")):
            if isinstance(body, list) and node in body:
                body[body.index(node)] = ast.Pass()
    return told


def _without_part(number: int, part: int, tree: ast.Module) -> str:
    node = _at(tree, number)
    assert isinstance(node, ast.BoolOp)
    told = f"{_function(tree, node)}: without {_short(node.values.pop(part))}"
    if len(node.values) == 1:
        # One operand joins nothing: keep it twice, which is itself.
        node.values *= 2
    return told


def _never(number: int, tree: ast.Module) -> str:
    node = _at(tree, number)
    assert isinstance(node, ast.If)
    told = f"{_function(tree, node)}: never {_short(node.test)}"
    node.test = ast.Constant(value=False)
    return told


def _short(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())[:70]
