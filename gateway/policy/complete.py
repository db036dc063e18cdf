"""What a bundle lacks that this version asks of it: an update brings rpcs and rules.

What is lacking denies, so that nothing opens. But a floor that an update brought and nobody took
over is no floor: a HOME of before there were signatures is served with its own as they lie, and it
must have every policy that ships, by name. What a policy says is the province's, and so is, from
the first signatures on, which policies there are.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from gateway.config.exports import EXPORTS_FILE
from gateway.config.home import Home
from gateway.config.policies import shipped
from gateway.policy import bundle
from gateway.policy.bundle import Bundle, BundleError
from gateway.policy.engine import Engine

_ACTIONS = re.compile(r"^action\s+([^;{]+?)(?=\s+(?:in|appliesTo)\b|\s*[;{])", re.MULTILINE)
_NAME = re.compile(r"\w+")
# Both languages: a process that does not start has no reader of its own.
_LACKING = (
    "{folder} is of an older version and lacks: {lacking}. Take over what you changed into a copy"
    " of {shipped}, and put that in its place."
    " 策略来自旧版本，缺少以上内容：请以随版本提供的策略为基础，合并本省的修改后替换。"
)
_LACKING_SIGNED = (
    "the policies in force lack: {lacking}. What they should decide is refused. Take it over from"
    " {shipped} into a copy of {folder}, then: gateway policy propose {home} COPY; two security"
    " officers sign it. 生效的策略缺少以上内容，相关操作均被拒绝：请合并到副本后用上述命令提交，"
    "由两名安全管理员签名。"
)
_RULELESS = (
    "{file} is lacking: without it nothing could be exported, nor be judged by its rules."
    " 缺少该文件：没有它，导出既不能审批也无规则可依。"
)
_STRAY = (
    "{stray} counts no more: the rules of exports in force are in {folder}. Remove it."
    " 该文件已不生效，请删除：生效的导出规则在上述目录中。"
)


def unknown(found: Bundle) -> tuple[str, ...]:
    """Return the actions and files that this version asks for and a bundle does not know."""
    ships = _ships()
    missing = [f"action {name}" for name in _actions(ships.schema) if name not in _known(found)]
    return (*missing, *(() if found.exports else (EXPORTS_FILE,)))


def lacking(found: Bundle) -> tuple[str, ...]:
    """Return these, and the policies that ship and are not there by name; raises BundleError."""
    names = {one.name for one in Engine(found).policies}
    ids = [one.name for one in Engine(_ships()).policies if one.name not in names]
    return (*unknown(found), *(f"policy {name}" for name in ids))


def require(folder: Path, files: Mapping[str, str]) -> None:
    """Pass files that lack nothing and whose rules are some.

    Raises BundleError naming what is lacking and what to do.
    """
    one = bundle.of_files(files)
    one.rules()
    if found := lacking(one):
        named = ", ".join(found)
        raise BundleError(_LACKING.format(folder=folder, lacking=named, shipped=_folder()))


def require_rules(found: Bundle) -> None:
    """Pass a bundle that says how exports are to be approved and stopped; raises BundleError."""
    if found.rules() is None:
        raise BundleError(_RULELESS.format(file=EXPORTS_FILE))


def told(home: Home, found: Bundle) -> list[str]:
    """Return what is to be told of a HOME whose bundle in force this is; nothing is good."""
    named, stray = ", ".join(unknown(found)), home.policies / EXPORTS_FILE
    words = {"shipped": _folder(), "folder": home.policies / "cedar", "home": home.root}
    lines = [_LACKING_SIGNED.format(lacking=named, **words)] if named else []
    if found.exports and stray.exists():
        lines.append(_STRAY.format(stray=stray, **words))
    return lines


def _folder() -> Path:
    return shipped("policies") / "cedar"


def _ships() -> Bundle:
    return bundle.load(_folder())


def _known(found: Bundle) -> frozenset[str]:
    return frozenset(_actions(found.schema))


def _actions(schema: str) -> list[str]:
    return [name for names in _ACTIONS.findall(schema) for name in _NAME.findall(names)]
