"""Every rule of docs/rules.md: its id, what it does to an item, and what the sender reads and does.

Texts never hold a value of the record; {names} in them are thresholds of policies/rules.toml.
`changeable` rules take their severity from policies/rules.toml; the others refuse what is
impossible or breaks the contract.
"""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple

from gateway.v1 import upload_service_pb2 as v1


class Severity(IntEnum):
    """How bad a finding is; the number is the contract's, the smallest is the worst."""

    REJECT = v1.SEVERITY_REJECT
    QUARANTINE = v1.SEVERITY_QUARANTINE
    FLAG = v1.SEVERITY_FLAG
    INFO = v1.SEVERITY_INFO


class Rule(NamedTuple):
    """A rule and its texts."""

    rule_id: str
    severity: Severity
    changeable: bool
    english: str
    chinese: str


class Finding(NamedTuple):
    """That a rule is broken, and where; the path names a field of the contract, for example "child.birth_date"."""

    rule_id: str
    path: str


Findings = list[Finding]

_REJ, _QUA, _FLG, _INF = Severity.REJECT, Severity.QUARANTINE, Severity.FLAG, Severity.INFO

# One rule, one line.
# fmt: off
_ALL = (
    # the envelope
    Rule("EN-01", _REJ, False, "The schema version is not known here. Update the client or ask the province which versions are taken.", "不支持该数据规范版本。请升级客户端，或向省级平台确认可用版本。"),
    Rule("EN-03", _REJ, False, "The unit does not belong to the sender. Send records of your own unit or of units below it.", "该单位不属于上传方。请只上传本单位或下级单位的记录。"),
    Rule("EN-04", _REJ, False, "The request id was used for other content. Make a new id for new content.", "该请求编号已用于其他内容。新内容请使用新编号。"),
    Rule("EN-05", _FLG, True, "Batches of this unit are missing before this one. Send the missing batches; sequence numbers count from 1 without gap.", "本批次之前缺少该单位的批次。请补传缺失批次；批次序号从 1 起连续编号。"),
    Rule("EN-06", _REJ, False, "The batch holds no item, too many items or too many bytes. Send batches within the limits.", "批次为空，或条数、字节数超过上限。请按上限拆分批次。"),
    Rule("EN-07", _REJ, False, "The batch's made_time is missing or too far from the gateway's clock for its lane. Set the clock, or send older records in the backfill lane.", "批次生成时间缺失，或与网关时钟相差超过该通道允许范围。请校准时钟，补录数据请使用补录通道。"),
    Rule("EN-08", _REJ, False, "There is a field or a code value that this version of the contract does not know. Remove it or update the client.", "存在本版接口未定义的字段或代码值。请删除，或升级客户端。"),
    Rule("EN-09", _REJ, False, "A text is not in Unicode NFC, holds control or direction characters, or a code holds full-width characters. Correct the text.", "文本未采用 Unicode NFC 规范化，或含控制字符、方向控制字符，或编码中含全角字符。请更正文本。"),
    Rule("EN-10", _REJ, False, "A field that identifies or dates the record is missing or not in its form. Fill it as the contract describes.", "记录的标识或日期字段缺失或格式不符。请按接口说明填写。"),
    # the child's card
    Rule("CH-01", _REJ, False, "The child code is not 18 digits: filing unit (10), year (4), serial (4). Correct the code.", "儿童编码不是 18 位数字（建档单位 10 位＋年份 4 位＋流水号 4 位）。请更正编码。"),
    Rule("CH-02", _QUA, True, "The unit in the child code is not in the register. Correct the code or have the unit registered.", "儿童编码中的建档单位未登记。请更正编码或办理单位登记。"),
    Rule("CH-03", _REJ, False, "The birth date is missing, not a real day, or in the future. Correct it.", "出生日期缺失、不是有效日期或晚于今天。请更正。"),
    Rule("CH-04", _FLG, True, "The person is older than a child of the programme. Check the birth date.", "年龄超过儿童建档年龄上限。请核对出生日期。"),
    Rule("CH-05", _FLG, True, "Sex is neither male nor female. Fill it in.", "性别不是男或女。请补充。"),
    Rule("CH-06", _QUA, True, "The identity number does not fit its document: length, digits or check digit are wrong. Correct the number, or say that it is not yet obtained.", "证件号码与证件类别不符，位数、字符或校验码错误。请更正号码，未取得证件的请选择“暂未获取”。"),
    Rule("CH-07", _QUA, True, "The date in the identity number is not the birth date. Correct whichever is wrong.", "身份证号码中的日期与出生日期不一致。请更正错误的一项。"),
    Rule("CH-08", _FLG, True, "The identity number's sex is not the card's. Check both.", "身份证号码中的性别与档案性别不一致。请核对。"),
    Rule("CH-09", _FLG, True, "The identity number's division was abolished or is not known. Check the number.", "身份证号码中的区划代码已撤销或不存在。请核对号码。"),
    Rule("CH-10", _REJ, False, "A placeholder stands in place of an identity number. Leave the number empty and say that the document is not yet obtained.", "证件号码填写了占位号。请清空号码，并将证件类别选为“暂未获取”。"),
    Rule("CH-11", _FLG, True, "The birth certificate number is not a letter and nine digits. Check it.", "出生医学证明编号不是 1 位字母加 9 位数字。请核对。"),
    Rule("CH-12", _QUA, True, "No guardian has both a name and a phone. Complete one.", "没有一位监护人同时填写姓名和电话。请至少完整填写一位。"),
    Rule("CH-13", _FLG, True, "A phone number is neither a mobile nor a landline number. Check it.", "电话号码既不是手机号也不是固定电话。请核对。"),
    Rule("CH-14", _QUA, True, "The address's division code is not in the table. Correct it.", "地址的行政区划代码不在代码表中。请更正。"),
    Rule("CH-15", _FLG, True, "The birth weight is out of range. Check it; the unit is the gram.", "出生体重超出范围。请核对，单位为克。"),
    Rule("CH-16", _REJ, False, "The card was filed before the birth. Correct the dates.", "建档日期早于出生日期。请更正日期。"),
    Rule("CH-17", _FLG, True, "The card was filed later than {filed_within_months} month(s) after birth.", "建档时间晚于出生后 {filed_within_months} 个月。"),
    Rule("CH-18", _QUA, True, "A child that left or died needs the date and the reason. Fill both.", "离册或死亡须填写日期和原因。请补全。"),
    Rule("CH-19", _QUA, True, "Name, sex or birth date changed without a reason. Fill the correction reason.", "姓名、性别或出生日期有变更但未填写更正原因。请填写更正原因。"),
    Rule("CH-20", _REJ, False, "A newer revision of this card is stored. Take it over, then send with the next revision.", "已有该档案的较新版本。请先更新本地档案，再以下一版本号上传。"),
    Rule("CH-21", _FLG, True, "A required item is empty. Fill it; required items count to 100 %.", "必填项为空。请补充，必填项录入率须达到 100%。"),
    Rule("CH-22", _REJ, False, "This child code was retired by a merge. Write to the card that was kept.", "该儿童编码已因重卡合并停用。请写入保留的档案。"),
    Rule("CH-23", _QUA, True, "Another card has the same identity number or birth certificate number. Check which card is the child's and merge them, or correct the number.", "另一档案的身份证号码或出生医学证明编号与此相同。请核实后合并重卡，或更正号码。"),
    # the dose
    Rule("VA-01", _QUA, False, "The child's card is not known. Send the card: the dose waits {child_waits_hours} hours for it and is then rejected.", "儿童档案不存在。请上传档案：本记录等待 {child_waits_hours} 小时，逾期拒收。"),
    Rule("VA-02", _QUA, True, "The vaccine code is not known on that day. Correct the code.", "接种日期当天无此疫苗编码。请更正编码。"),
    Rule("VA-03", _REJ, False, "The vaccination is dated before the birth, in the future, or not on a real day. Correct the date.", "接种日期早于出生日期、晚于今天或不是有效日期。请更正日期。"),
    Rule("VA-04", _QUA, True, "The vaccination is dated after the child left or died. Correct the date or the card.", "接种日期晚于儿童离册或死亡日期。请更正日期或档案。"),
    Rule("VA-05", _QUA, True, "The lot had expired on the day of vaccination. Check the expiry date; if it is right, report an incident.", "接种时疫苗已过有效期。请核对失效日期；如属实，请按事件上报。"),
    Rule("VA-06", _FLG, True, "Given under the minimum age.", "首针提前：接种时未达到最小月龄。"),
    Rule("VA-07", _FLG, True, "Given too soon after the earlier dose.", "间短：与前一剂间隔不足。"),
    Rule("VA-08", _FLG, True, "Two injected live vaccines were given less than {live_interval_days} days apart.", "两种注射减毒活疫苗接种间隔不足 {live_interval_days} 天。"),
    Rule("VA-09", _INF, True, "Given later than recommended.", "超期：晚于推荐完成月龄。"),
    Rule("VA-10", _FLG, True, "An earlier dose of the series is missing, or the dose number is taken. Check the dose number, or send the missing dose.", "该系列剂次不连续或剂次重复。请核对剂次，或补传缺失剂次。"),
    Rule("VA-11", _QUA, True, "The same vaccine is recorded twice on one day. Check which record is right.", "同一天重复接种同一疫苗。请核实哪条记录正确。"),
    Rule("VA-12", _FLG, True, "Two injections are recorded at one site on one day. Check the site.", "同一天在同一部位注射两次。请核对接种部位。"),
    Rule("VA-13", _FLG, True, "Route, site and vaccine do not fit each other. Check them.", "接种途径、部位与疫苗不符。请核对。"),
    Rule("VA-14", _FLG, True, "A dose of the programme is marked as paid. Check it; programme doses are free.", "免疫规划疫苗标记为自费。请核对，免疫规划疫苗应免费接种。"),
    Rule("VA-15", _FLG, True, "Entered later than {entered_within_days} days after the vaccination.", "录入时间晚于接种后 {entered_within_days} 天。"),
    Rule("VA-16", _QUA, True, "The unit was not designated for vaccination on that day. Check unit and date.", "接种当天该单位不具备接种资质。请核对单位和日期。"),
    Rule("VA-17", _FLG, True, "A vaccine for girls was given to a boy. Check vaccine and child.", "男童接种了仅限女性的疫苗。请核对疫苗和儿童。"),
    Rule("VA-19", _QUA, True, "The same content is stored under another record id. Do not make a new id for the same dose.", "相同内容已以另一记录编号存储。同一剂次请勿使用新编号。"),
    Rule("VA-20", _REJ, False, "The vaccination unit is not registered or not the sender's. Send records of your own unit or of units below it.", "接种单位未登记或不属于上传方。请只上传本单位或下级单位的记录。"),
    Rule("VA-21", _REJ, False, "Other content of this or a newer revision is stored under this record id. Take it over, then send with the next revision.", "该记录编号下已有相同或更新版本的其他内容。请先更新本地记录，再以下一版本号上传。"),
    Rule("VA-22", _QUA, True, "A stored dose is changed without a reason. Fill the correction reason.", "更改已存储的接种记录但未填写更正原因。请填写更正原因。"),
    Rule("VA-23", _FLG, True, "A required item is empty or not in its form. Fill it.", "必填项为空或格式不符。请补充。"),
    Rule("TR-01", _REJ, False, "The traceability code is neither 20 digits nor an ISO/IEC 15459 code. Scan it again.", "追溯码既不是 20 位数字，也不是 ISO/IEC 15459 编码。请重新扫码。"),
    Rule("TR-09", _REJ, False, "The code of a case or middle package stands on a dose. Scan the minimum package.", "接种记录使用了大包装或中包装追溯码。请扫描最小包装追溯码。"),
    # stock
    Rule("ST-01", _REJ, False, "A document with this number and other content is stored. Send a correction with the next revision, or use a new number.", "该单据号下已有其他内容。更正请使用下一版本号，新单据请使用新单据号。"),
    Rule("ST-02", _REJ, False, "A quantity is negative or zero. Correct it.", "数量为负数或零。请更正。"),
    Rule("ST-04", _FLG, True, "The numbers do not add up: doses are packages times doses per package, closing is opening plus in less out.", "数量关系不符：剂数应为包装数乘以每包装剂数，期末应为期初加入库减出库。请核对。"),
    Rule("ST-05", _QUA, True, "There are not as many traceability codes as packages. Scan what is missing.", "追溯码个数与包装数不一致。请补扫。"),
    Rule("ST-08", _QUA, True, "A lot came in that had expired. Check the expiry date; if it is right, isolate the lot and report an incident.", "入库疫苗已过有效期。请核对失效日期；如属实，请隔离并按事件上报。"),
    Rule("ST-09", _FLG, True, "The number of the lot release certificate is empty. Fill it.", "批签发编号为空。请补充。"),
    Rule("ST-14", _FLG, True, "Another balance of this lot and day was stored and is replaced by this one.", "同一批号同一日期的原结存记录已被本条替换。"),
    # adverse events
    Rule("AE-01", _REJ, False, "A starred item of the national card is missing. Fill it.", "缺少个案表中带 * 的必填项。请补充。"),
    Rule("AE-02", _REJ, False, "Onset lies before the vaccination, or discovery before the onset. Correct the dates.", "反应发生日期早于接种日期，或发现日期早于发生日期。请更正日期。"),
    Rule("AE-03", _FLG, True, "Reported later than {aefi_report_hours} hours after discovery.", "报告时间晚于发现后 {aefi_report_hours} 小时。"),
    Rule("AE-07", _REJ, False, "A report with this number and other content is stored. Send a correction with the next revision.", "该报告编号下已有其他内容。更正请使用下一版本号。"),
    # merges and devices
    Rule("ME-01", _REJ, False, "A merge needs one kept card, at least one other card to retire, and a reason. Correct it.", "合并须有一个保留档案、至少一个其他停用档案及原因。请更正。"),
    Rule("ME-02", _QUA, True, "A card of the merge is not known, was retired before, or is not managed by the sender's units. Ask the unit that manages it.", "合并所涉档案不存在、已停用，或不由上传方单位管理。请联系其管理单位。"),
    Rule("ME-03", _REJ, False, "A merge with this number and other content is stored. Use a new number.", "该合并编号下已有其他内容。请使用新编号。"),
    Rule("DE-01", _REJ, False, "The device lacks its type. Fill it.", "设备缺少类型。请补充。"),
    Rule("DE-02", _REJ, False, "The device is stored with other content of this or a newer revision. Send the next revision.", "该设备已有相同或更新版本的其他内容。请使用下一版本号。"),
)
# fmt: on

RULES: Mapping[str, Rule] = MappingProxyType({rule.rule_id: rule for rule in _ALL})
