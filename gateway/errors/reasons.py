"""The vocabulary of refusals: each reason, its family, what it means and what the caller does next."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.errors.families import (
    CancelledError,
    ConflictError,
    DeniedError,
    ExhaustedError,
    InternalError,
    InvalidError,
    NotFoundError,
    PreconditionError,
    Refusal,
    StaleError,
    TooLateError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
    Violation,
)


class Reason(StrEnum):
    """The vocabulary of refusals."""

    # who: the connection
    CERT_MISSING = "CERT_MISSING"
    CERT_UNTRUSTED = "CERT_UNTRUSTED"
    CERT_EXPIRED = "CERT_EXPIRED"
    CERT_NOT_YET_VALID = "CERT_NOT_YET_VALID"
    CERT_REVOKED = "CERT_REVOKED"
    CERT_SUPERSEDED = "CERT_SUPERSEDED"
    LINEAGE_LOCKED = "LINEAGE_LOCKED"
    CERT_PROFILE = "CERT_PROFILE"
    CERT_UNKNOWN = "CERT_UNKNOWN"
    CRL_STALE = "CRL_STALE"
    TLS_VERSION = "TLS_VERSION"
    TLS_FAILED = "TLS_FAILED"
    TLS_TIMEOUT = "TLS_TIMEOUT"
    TLS_NO_H2 = "TLS_NO_H2"
    CONNECTION_UNKNOWN = "CONNECTION_UNKNOWN"
    ORIGIN_NOT_TUNNEL = "ORIGIN_NOT_TUNNEL"
    ORIGIN_MISMATCH = "ORIGIN_MISMATCH"
    ORIGIN_AMBIGUOUS = "ORIGIN_AMBIGUOUS"
    ORIGIN_UNREGISTERED = "ORIGIN_UNREGISTERED"
    ORIGIN_LOCKED = "ORIGIN_LOCKED"
    ORIGIN_STALE = "ORIGIN_STALE"
    ORIGIN_MOVED = "ORIGIN_MOVED"
    ORIGIN_AWAY = "ORIGIN_AWAY"
    ORGANISATION_SUSPENDED = "ORGANISATION_SUSPENDED"
    SYSTEM_SUSPENDED = "SYSTEM_SUSPENDED"
    # who: the enrolment
    CODE_INVALID = "CODE_INVALID"
    CODE_BURNT = "CODE_BURNT"
    APPROVAL_PENDING = "APPROVAL_PENDING"
    SECOND_OFFICER_NEEDED = "SECOND_OFFICER_NEEDED"
    RENEWAL_CLOSED = "RENEWAL_CLOSED"
    # who: the session
    TOKEN_MISSING = "TOKEN_MISSING"
    TOKEN_INVALID = "TOKEN_INVALID"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"
    SESSION_UNKNOWN = "SESSION_UNKNOWN"
    LOGIN_FAILED = "LOGIN_FAILED"
    LOGIN_THROTTLED = "LOGIN_THROTTLED"
    LOGIN_LOCKED = "LOGIN_LOCKED"
    PASSWORD_EXPIRED = "PASSWORD_EXPIRED"
    PASSWORD_BLOCKED = "PASSWORD_BLOCKED"
    PASSWORD_MUST_CHANGE = "PASSWORD_MUST_CHANGE"
    PASSWORD_WEAK = "PASSWORD_WEAK"
    SECRET_REPLACED = "SECRET_REPLACED"
    CONFIRMATION_NEEDED = "CONFIRMATION_NEEDED"
    BREAK_GLASS_UNSEALED = "BREAK_GLASS_UNSEALED"
    BREAK_GLASS_FAILED = "BREAK_GLASS_FAILED"
    BREAK_GLASS_SPENT = "BREAK_GLASS_SPENT"
    BREAK_GLASS_WAITING = "BREAK_GLASS_WAITING"
    BREAK_GLASS_SAME_PERSON = "BREAK_GLASS_SAME_PERSON"
    BREAK_GLASS_OVER = "BREAK_GLASS_OVER"
    # may they
    ROLE_NOT_ALLOWED = "ROLE_NOT_ALLOWED"
    POLICY_DENIED = "POLICY_DENIED"
    OWN_ACCOUNT = "OWN_ACCOUNT"
    LAST_ADMIN = "LAST_ADMIN"
    WITNESS_UNKNOWN = "WITNESS_UNKNOWN"
    # may it leave
    TICKET_NOT_YOURS = "TICKET_NOT_YOURS"
    TICKET_NOT_APPROVED = "TICKET_NOT_APPROVED"
    TICKET_STATE = "TICKET_STATE"
    TICKET_EARLY = "TICKET_EARLY"
    TICKET_EXPIRED = "TICKET_EXPIRED"
    TICKET_REVOKED = "TICKET_REVOKED"
    TICKET_HELD = "TICKET_HELD"
    TICKET_SPENT = "TICKET_SPENT"
    TICKET_TAMPERED = "TICKET_TAMPERED"
    PART_TAMPERED = "PART_TAMPERED"
    TICKET_UNUSUAL = "TICKET_UNUSUAL"
    PLAN_CHANGED = "PLAN_CHANGED"
    COUNT_TOO_LARGE = "COUNT_TOO_LARGE"
    COUNT_TOO_SOON = "COUNT_TOO_SOON"
    DRAFTS_TOO_MANY = "DRAFTS_TOO_MANY"
    DOWNLOADS_SPENT = "DOWNLOADS_SPENT"
    APPROVAL_SAME_PERSON = "APPROVAL_SAME_PERSON"
    APPROVAL_TOO_SOON = "APPROVAL_TOO_SOON"
    APPROVAL_SIGNATURE = "APPROVAL_SIGNATURE"
    RECIPIENT_MISMATCH = "RECIPIENT_MISMATCH"
    RECIPIENT_OVERDUE = "RECIPIENT_OVERDUE"
    COLUMN_WITHDRAWN = "COLUMN_WITHDRAWN"
    RECEIPT_SIGNATURE = "RECEIPT_SIGNATURE"
    CHILD_BUDGET_SPENT = "CHILD_BUDGET_SPENT"
    # is it good
    METHOD_UNKNOWN = "METHOD_UNKNOWN"
    MESSAGE_MALFORMED = "MESSAGE_MALFORMED"
    MESSAGE_MISSING = "MESSAGE_MISSING"
    MESSAGE_SURPLUS = "MESSAGE_SURPLUS"
    MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE"
    BATCH_MALFORMED = "BATCH_MALFORMED"
    FIELD_INVALID = "FIELD_INVALID"
    PAGE_TOKEN_INVALID = "PAGE_TOKEN_INVALID"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    REVISION_STALE = "REVISION_STALE"
    COSIGNATURE_INVALID = "COSIGNATURE_INVALID"
    RECEIPT_INVALID = "RECEIPT_INVALID"
    RECEIPT_FOREIGN = "RECEIPT_FOREIGN"
    RECEIPT_KEPT = "RECEIPT_KEPT"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    NOT_FOUND = "NOT_FOUND"
    # not now
    RATE_LIMITED = "RATE_LIMITED"
    CONNECTIONS_EXHAUSTED = "CONNECTIONS_EXHAUSTED"
    AUDIT_DEGRADED = "AUDIT_DEGRADED"
    SIGNER_AWAY = "SIGNER_AWAY"
    FRONT_AWAY = "FRONT_AWAY"
    STORE_AWAY = "STORE_AWAY"
    POLICIES_UNUSABLE = "POLICIES_UNUSABLE"
    REGISTER_TAMPERED = "REGISTER_TAMPERED"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    DISK_LOW = "DISK_LOW"
    BACKUP_OVERDUE = "BACKUP_OVERDUE"
    DEADLINE_MISSING = "DEADLINE_MISSING"
    DEADLINE_TOO_SHORT = "DEADLINE_TOO_SHORT"
    CANCELLED = "CANCELLED"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a reason means and what the caller does next, in both languages."""

    family: type[Refusal]
    english: str
    chinese: str


_U, _D, _I, _P, _E, _A = (
    UnauthenticatedError,
    DeniedError,
    InvalidError,
    PreconditionError,
    ExhaustedError,
    UnavailableError,
)

# One reason, one line: the table is read across.
# fmt: off
REASONS: Mapping[Reason, Meaning] = {
    Reason.CERT_MISSING: Meaning(_U, "No client certificate was presented. Connect with the certificate issued to your system.", "未出示客户端证书。请使用签发给本系统的证书连接。"),
    Reason.CERT_UNTRUSTED: Meaning(_U, "The certificate was not issued by this gateway's authority. Use the certificate issued by the province.", "证书不是本网关的证书机构签发的。请使用省级平台签发的证书。"),
    Reason.CERT_EXPIRED: Meaning(_U, "The certificate has expired. Within 7 days 'gateway certificate renew' still works; later ask your administrator for an invitation.", "证书已过期。7 日内仍可运行 gateway certificate renew 续期；逾期请向管理员申请邀请码。"),
    Reason.CERT_NOT_YET_VALID: Meaning(_U, "The certificate is not valid yet. Check the clock of your system.", "证书尚未生效。请检查本系统时钟。"),
    Reason.CERT_REVOKED: Meaning(_U, "The certificate was revoked. Ask your administrator for an invitation, then run 'gateway enrol'.", "证书已被吊销。请向管理员申请邀请码，再运行 gateway enrol。"),
    Reason.CERT_SUPERSEDED: Meaning(_U, "A newer certificate of this system is in use. Connect with that one, and close channels of the old one first.", "本系统已启用更新的证书。请先关闭旧证书的通道，改用新证书连接。"),
    Reason.LINEAGE_LOCKED: Meaning(_P, "An old certificate of this system was used after its successor: two hold its identity, so both are locked. Find out who; then ask your administrator for an invitation and enrol again.", "新证书启用后仍有人使用旧证书：同一身份有两个持有者，均已锁定。请查明原因，再向管理员申请邀请码重新登记。"),
    Reason.CERT_PROFILE: Meaning(_U, "The certificate does not have the form of a client certificate of this gateway.", "证书不符合本网关客户端证书的格式要求。"),
    Reason.CERT_UNKNOWN: Meaning(_U, "The certificate is not in the gateway's register. Ask your administrator.", "证书未在网关登记。请联系管理员。"),
    Reason.CRL_STALE: Meaning(_A, "The revocation list is out of date, so nobody is let in. The gateway's operator must renew it.", "吊销列表已过期，暂停一切接入。请网关运维人员更新。"),
    Reason.TLS_VERSION: Meaning(_U, "Only TLS 1.3 is spoken here. Update the client.", "仅支持 TLS 1.3。请升级客户端。"),
    Reason.TLS_FAILED: Meaning(_U, "The TLS handshake failed.", "TLS 握手失败。"),
    Reason.TLS_TIMEOUT: Meaning(_U, "The TLS handshake took too long.", "TLS 握手超时。"),
    Reason.TLS_NO_H2: Meaning(_U, "The client did not offer HTTP/2 (ALPN h2). Use a gRPC client.", "客户端未提供 HTTP/2（ALPN h2）。请使用 gRPC 客户端。"),
    Reason.CONNECTION_UNKNOWN: Meaning(_U, "The connection did not come through the front.", "该连接未经过网关前端。"),
    Reason.ORIGIN_NOT_TUNNEL: Meaning(_D, "The connection did not come through a registered tunnel.", "连接不是从已登记的专用通道进入的。"),
    Reason.ORIGIN_MISMATCH: Meaning(_D, "The certificate belongs to another organisation than the tunnel.", "证书所属机构与通道所属机构不一致。"),
    Reason.ORIGIN_AMBIGUOUS: Meaning(_D, "Two tunnel peers claim this address, so it proves nothing. The gateway's operator must mend the tunnel's configuration.", "两个通道对端声称同一地址，无法证明来源。请网关运维人员修正通道配置。"),
    Reason.ORIGIN_UNREGISTERED: Meaning(_D, "The tunnel peer is not registered for any organisation. Ask the province.", "该通道对端未登记到任何机构。请联系省级平台。"),
    Reason.ORIGIN_LOCKED: Meaning(_D, "The tunnel peer is locked or was removed. Ask the province.", "该通道对端已锁定或移除。请联系省级平台。"),
    Reason.ORIGIN_STALE: Meaning(_D, "The tunnel's last handshake is too old: it is down, and only its address is left. Bring the tunnel up, then connect again.", "通道最近一次握手已过期：通道已断，仅剩地址。请恢复通道后重新连接。"),
    Reason.ORIGIN_MOVED: Meaning(_D, "The tunnel's far end changed its address during the connection. Connect again.", "连接期间通道对端地址发生变化。请重新连接。"),
    Reason.ORIGIN_AWAY: Meaning(_A, "The VPN cannot be asked whose tunnel this is, so nobody is let in. The gateway's operator must look.", "无法向 VPN 查询通道归属，暂停接入。请网关运维人员检查。"),
    Reason.ORGANISATION_SUSPENDED: Meaning(_D, "The organisation is suspended. Ask the province.", "该机构已被暂停接入。请联系省级平台。"),
    Reason.SYSTEM_SUSPENDED: Meaning(_D, "The system is suspended or not registered. Ask your administrator.", "该系统已被暂停或未登记。请联系管理员。"),
    Reason.CODE_INVALID: Meaning(_U, "There is no such invitation for this tunnel's organisation, or it has expired. Check the code, or ask your administrator for another.", "没有适用于本通道机构的邀请码，或邀请码已过期。请核对，或向管理员重新申请。"),
    Reason.CODE_BURNT: Meaning(_U, "The code is void: another key was shown for it, or too many attempts failed. If that was not you, tell the province; ask for another code.", "邀请码已作废：曾用于另一密钥，或失败次数过多。如非本人操作请报告省级平台，并重新申请。"),
    Reason.APPROVAL_PENDING: Meaning(_P, "A second officer must confirm the key's fingerprint. Tell it to the officer, then run the command again.", "须由另一名管理人员确认密钥指纹。请告知指纹，确认后重新运行命令。"),
    Reason.SECOND_OFFICER_NEEDED: Meaning(_D, "Whoever invited, or is invited, cannot confirm: another officer must.", "邀请人和证书持有人均不能确认，须由另一名管理人员确认。"),
    Reason.RENEWAL_CLOSED: Meaning(_P, "This certificate cannot be renewed any more. Ask your administrator for an invitation, then run 'gateway enrol'.", "该证书已不能续期。请向管理员申请邀请码，再运行 gateway enrol。"),
    Reason.TOKEN_MISSING: Meaning(_U, "There is no access token. Call Login first and send the token as 'authorization: Bearer ...'.", "缺少访问令牌。请先登录，并在 authorization 中携带令牌。"),
    Reason.TOKEN_INVALID: Meaning(_U, "The access token is not valid for this connection. Log in again.", "访问令牌对本连接无效。请重新登录。"),
    Reason.TOKEN_EXPIRED: Meaning(_U, "The access token has expired. Call RefreshToken, open the stream again and resume.", "访问令牌已过期。请刷新令牌，重新打开流并续传。"),
    Reason.SESSION_UNKNOWN: Meaning(_U, "The session has ended. Log in again.", "会话已结束。请重新登录。"),
    Reason.LOGIN_FAILED: Meaning(_U, "Login failed. Check account, password and certificate.", "登录失败。请检查账号、密码和证书。"),
    Reason.LOGIN_THROTTLED: Meaning(_E, "Too many failed logins from this certificate. Wait and try again.", "该证书登录失败次数过多。请稍后再试。"),
    Reason.LOGIN_LOCKED: Meaning(_P, "Too many failed logins from this certificate within the hours of the policy. An officer unlocks: gateway account unlock.", "该证书在策略规定的时间内登录失败次数过多，账号已锁定，须由管理人员解锁：gateway account unlock。"),
    Reason.PASSWORD_EXPIRED: Meaning(_P, "The password has expired. Until its grace ends it can be changed (run 'gateway passwd'), and a system's still uploads; nothing else is allowed.", "密码已过期。宽限期内仅可修改密码（请运行 gateway passwd），系统账号仍可上传，其他操作均不允许。"),
    Reason.PASSWORD_BLOCKED: Meaning(_P, "The password expired and its grace is over. An administrator resets it: gateway account reset.", "密码已过期且宽限期已过，须由管理员重置：gateway account reset。"),
    Reason.PASSWORD_MUST_CHANGE: Meaning(_P, "The one-time password must be changed first: run 'gateway passwd'.", "须先修改一次性密码：请运行 gateway passwd。"),
    Reason.PASSWORD_WEAK: Meaning(_I, "The new password breaks a rule; see the violations.", "新密码不符合要求，详见各项说明。"),
    Reason.SECRET_REPLACED: Meaning(_P, "Another client of this service account has changed its secret. One account per installation; an administrator resets this one: gateway account reset.", "该系统账号的密钥已被另一客户端更换。每处安装应使用各自的账号；请管理员重置：gateway account reset。"),
    Reason.CONFIRMATION_NEEDED: Meaning(_P, "This weighs: give the password again (Confirm, or log in), then repeat the call within five minutes.", "该操作须再次验证密码：请重新输入密码（Confirm 或重新登录），并在五分钟内重试。"),
    Reason.BREAK_GLASS_UNSEALED: Meaning(_P, "Break-glass is not sealed: it was used, or not every officer has made his code. An administrator seals it: gateway break-glass seal.", "应急访问未封存：已被使用，或尚有人员未生成确认码。请管理员运行 gateway break-glass seal 重新封存。"),
    Reason.BREAK_GLASS_FAILED: Meaning(_U, "The credential or code is not right for this certificate and opening. It was counted.", "凭据或确认码与本证书、本次开启不符，已计入失败次数。"),
    Reason.BREAK_GLASS_SPENT: Meaning(_P, "The envelope was opened before, or break-glass was; an envelope opens once. Use the other one, or seal anew.", "该信封已开启过，或应急访问已使用；每个信封只能开启一次。请使用另一信封，或重新封存。"),
    Reason.BREAK_GLASS_WAITING: Meaning(_P, "Two of the three officers must confirm first, each over his own connection: gateway break-glass confirm.", "须由三名指定人员中的两名先各自确认：gateway break-glass confirm。"),
    Reason.BREAK_GLASS_SAME_PERSON: Meaning(_D, "Two officers confirm, and neither of them is who opened: another one must.", "须由开启人以外的两名不同人员确认，请由另一名人员确认。"),
    Reason.BREAK_GLASS_OVER: Meaning(_P, "This opening does not wait any more and is not open: it has ended.", "本次开启已不在等待或有效状态：已结束。"),
    Reason.ROLE_NOT_ALLOWED: Meaning(_D, "The account's roles do not allow this call.", "该账号的角色不允许此操作。"),
    Reason.POLICY_DENIED: Meaning(_D, "The province's policy does not allow this.", "省级策略不允许此操作。"),
    Reason.OWN_ACCOUNT: Meaning(_D, "Nobody changes the roles, state or lock of his own accounts: another officer does.", "不得变更本人账号的角色、状态或锁定，须由其他管理人员办理。"),
    Reason.LAST_ADMIN: Meaning(_P, "Without this account nobody could administer the province: let another administrator come in first.", "该账号是省级唯一可用的管理员账号：请先确保另有管理员可以登录。"),
    Reason.TICKET_NOT_YOURS: Meaning(_D, "This act on the ticket is not yours: see who is named in it.", "您无权对该申请单执行此操作：请查看申请单中指定的人员。"),
    Reason.TICKET_NOT_APPROVED: Meaning(_P, "The ticket has not been approved by as many persons as it takes.", "该申请单尚未经规定人数批准。"),
    Reason.TICKET_STATE: Meaning(_P, "The ticket is not in a state for this: gateway export show.", "申请单当前状态不允许此操作：请运行 gateway export show 查看。"),
    Reason.TICKET_EARLY: Meaning(_P, "The ticket's window has not begun.", "申请单的有效时段尚未开始。"),
    Reason.TICKET_EXPIRED: Meaning(_P, "The ticket has expired: its approvals or its window were over. A new ticket is needed.", "申请单已过期：批准时限或有效时段已过，须重新申请。"),
    Reason.TICKET_REVOKED: Meaning(_D, "The ticket was revoked; nothing of it can be read. Ask whoever stopped it.", "申请单已被撤销，其数据不可读取。请向撤销人了解情况。"),
    Reason.TICKET_HELD: Meaning(_P, "The ticket is on hold; two approvers let it go on.", "申请单已被冻结，须由两名审批人解除。"),
    Reason.TICKET_SPENT: Meaning(_P, "The key of this export was handed out as often as it may be.", "该导出文件的密钥发放次数已达上限。"),
    Reason.PART_TAMPERED: Meaning(_D, "The words beside this entry are not those that it was written with; they are not shown. The province must look.", "该日志条目的附属内容与写入时不一致，不予显示。请省级平台核查。"),
    Reason.TICKET_TAMPERED: Meaning(_D, "The ticket as stored is not the one on the audit log; nothing is done with it. The province must look.", "存储的申请单与审计日志记录不一致，已停止处理。请省级平台核查。"),
    Reason.TICKET_UNUSUAL: Meaning(_D, "The request is too unlike what this requester has had before: the province's policy stops it.", "该申请与申请人以往申请差异过大，省级策略予以阻止。"),
    Reason.PLAN_CHANGED: Meaning(_D, "What was signed is not this ticket's plan. Read it anew, then decide.", "所签内容不是该申请单的方案。请重新查看后再决定。"),
    Reason.COUNT_TOO_LARGE: Meaning(_P, "The plan finds more rows or children than its caps allow. Ask for less.", "方案涉及的行数或儿童数超过上限。请缩小范围。"),
    Reason.COUNT_TOO_SOON: Meaning(_E, "A count was made for you a few minutes ago. Wait, then submit.", "数分钟前已为您计数一次。请稍后再提交。"),
    Reason.DRAFTS_TOO_MANY: Meaning(_E, "You have as many drafts waiting as the policy allows. Submit some, or withdraw them.", "您的待提交草稿已达策略上限。请先提交或撤回。"),
    Reason.DOWNLOADS_SPENT: Meaning(_P, "The file of this ticket was fetched as often as the policy allows. Ask for a new ticket.", "该申请单文件的下载次数已达策略上限，须重新申请。"),
    Reason.APPROVAL_SAME_PERSON: Meaning(_D, "It takes another person: one who has not signed yet, neither requester nor recipient, whatever the account.", "须由另一人办理：不得是已签名者、申请人或接收人，更换账号亦不允许。"),
    Reason.APPROVAL_TOO_SOON: Meaning(_P, "The other approval is too fresh. Read the plan, and approve in a few minutes.", "前一批准刚刚作出。请阅读方案，数分钟后再批准。"),
    Reason.APPROVAL_SIGNATURE: Meaning(_D, "The signature is not that of your connection's certificate over this ticket and plan.", "签名与当前连接证书、本申请单及方案不符。"),
    Reason.RECIPIENT_MISMATCH: Meaning(_D, "The ticket names another certificate or tunnel for its recipient.", "申请单指定的接收证书或通道与当前连接不符。"),
    Reason.RECIPIENT_OVERDUE: Meaning(_D, "The recipient's organisation owes the proof that an earlier export was destroyed; until then it gets nothing new.", "接收机构尚未证明以往导出数据已销毁，证明之前不再提供新数据。"),
    Reason.COLUMN_WITHDRAWN: Meaning(_P, "The contract no longer lets a column of this plan leave. Stop the ticket and ask anew without it.", "接口约定已不再允许导出该计划中的某一字段。请终止该申请，去掉该字段后重新申请。"),
    Reason.WITNESS_UNKNOWN: Meaning(_D, "No key that is registered for a witness of your organisation made this line. Have an administrator register it.", "该行不是由本机构已登记的见证方密钥签出。请由管理员登记该密钥。"),
    Reason.COSIGNATURE_INVALID: Meaning(_I, "The line is no cosignature over the checkpoint of this size, or of a time that has not come. Ask for the checkpoint again.", "该行不是对此长度检查点的联署签名，或其时间尚未到来。请重新获取检查点。"),
    Reason.RECEIPT_INVALID: Meaning(_I, "One of the receipts is no receipt of an upload by this gateway's log. Prove each: gateway receipt verify.", "其中有回执不是本网关日志对上传的回执。请逐一核验：gateway receipt verify。"),
    Reason.RECEIPT_FOREIGN: Meaning(_D, "One of the receipts is another organisation's. Present your own.", "其中有其他机构的回执。请仅提交本机构的回执。"),
    Reason.RECEIPT_KEPT: Meaning(_P, "No restore of this gateway lost what one of the receipts proves: it is there. Ask for it with GetReceipt.", "其中有回执所证明的内容未因恢复而丢失，仍在网关中。请用 GetReceipt 查询。"),
    Reason.RECEIPT_SIGNATURE: Meaning(_D, "The receipt is not signed by your connection's certificate over this ticket and payload.", "收据签名与当前连接证书、本申请单及文件不符。"),
    Reason.CHILD_BUDGET_SPENT: Meaning(_E, "With this export more children would have been disclosed to this person or organisation than the policy allows for a day, a month or a year.", "加上本次导出，向该人员或机构披露的儿童数将超过日、月或年度限额。"),
    Reason.METHOD_UNKNOWN: Meaning(UnimplementedError, "There is no such method at this door.", "此入口没有该方法。"),
    Reason.MESSAGE_MALFORMED: Meaning(_I, "The message cannot be decoded as the type the contract names.", "消息无法按接口约定的类型解码。"),
    Reason.MESSAGE_MISSING: Meaning(_I, "The call carried no message, or one beyond the transport's limit.", "调用中没有消息，或消息超过传输上限。"),
    Reason.MESSAGE_SURPLUS: Meaning(_I, "The call carried more than one message.", "调用中包含多于一条消息。"),
    Reason.MESSAGE_TOO_LARGE: Meaning(_E, "The message is larger than this method takes. Send smaller batches.", "消息超过该方法的上限。请减小批次。"),
    Reason.BATCH_MALFORMED: Meaning(_I, "The batch breaks a rule of its envelope; nothing of it was taken.", "批次信封不符合规则，整批未接收。"),
    Reason.FIELD_INVALID: Meaning(_I, "A field breaks a rule; see the violations.", "字段不符合规则，详见各项说明。"),
    Reason.PAGE_TOKEN_INVALID: Meaning(_I, "The page token is not one of this query. Start from the first page.", "分页令牌不属于本次查询。请从第一页开始。"),
    Reason.REQUEST_ID_REUSED: Meaning(ConflictError, "The request id was used for other content. Make a new id for new content.", "该请求编号已用于其他内容。新内容请使用新编号。"),
    Reason.REVISION_STALE: Meaning(StaleError, "It was changed meanwhile. Read it again, then retry.", "数据已被更改。请重新读取后再试。"),
    Reason.ALREADY_EXISTS: Meaning(ConflictError, "It exists already.", "该对象已存在。"),
    Reason.NOT_FOUND: Meaning(NotFoundError, "There is no such thing within what you may see.", "在您可见的范围内没有该对象。"),
    Reason.RATE_LIMITED: Meaning(_E, "Too many calls. Wait and try again.", "调用过于频繁。请稍后再试。"),
    Reason.CONNECTIONS_EXHAUSTED: Meaning(_E, "Too many connections. Close some and try again.", "连接数过多。请关闭部分连接后再试。"),
    Reason.AUDIT_DEGRADED: Meaning(_A, "The audit log cannot be written, so nothing is served. Try again with the same id.", "审计日志无法写入，暂停服务。请用同一编号重试。"),
    Reason.SIGNER_AWAY: Meaning(_A, "The audit signer does not answer. Try again with the same id.", "审计签名服务无应答。请用同一编号重试。"),
    Reason.FRONT_AWAY: Meaning(_A, "The front does not answer. Try again with the same id.", "网关前端无应答。请用同一编号重试。"),
    Reason.STORE_AWAY: Meaning(_A, "The database does not answer. Try again with the same id.", "数据库无应答。请用同一编号重试。"),
    Reason.POLICIES_UNUSABLE: Meaning(_A, "The policies in force are not what their digest and signatures say, or lack the rules of exports; what they should decide is refused. Tell the province's operator.", "生效的策略与其摘要或签名不符，或缺少导出规则，相关操作均被拒绝。请联系省级运维人员。"),
    Reason.REGISTER_TAMPERED: Meaning(_A, "The register names another organisation as the province than this gateway was made for; nothing is governed or given out. Tell the province's operator.", "登记簿中的省级机构与本网关设定不符，暂停管理与对外提供数据。请联系省级运维人员。"),
    Reason.DISK_LOW: Meaning(_A, "There is too little room on the gateway's disk for this; the log goes on. Try again later with the same id.", "网关磁盘余量不足，暂不受理此类操作，审计照常。请稍后用同一编号重试。"),
    Reason.BACKUP_OVERDUE: Meaning(_P, "Nothing leaves while the gateway has no backup that was verified lately. Its operator must make one; uploads, stops and duties go on.", "网关近期没有经验证的备份，暂停导出。请运维人员先完成备份；上传、停止与义务不受影响。"),
    Reason.SHUTTING_DOWN: Meaning(_A, "The gateway is stopping. Try again with the same id.", "网关正在停止。请用同一编号重试。"),
    Reason.DEADLINE_MISSING: Meaning(_I, "The call has no deadline. Set one.", "调用未设置截止时间。请设置。"),
    Reason.DEADLINE_TOO_SHORT: Meaning(TooLateError, "Too little time is left to do the work; it was not begun.", "剩余时间不足，未开始处理。"),
    Reason.CANCELLED: Meaning(CancelledError, "The caller went away before the answer.", "调用方在得到应答前已取消。"),
    Reason.INTERNAL: Meaning(InternalError, "Internal error; quote the request id.", "内部错误，请提供请求编号。"),
}
# fmt: on


def refuse(
    reason: Reason,
    *,
    metadata: Mapping[str, str] | None = None,
    violations: tuple[Violation, ...] = (),
    retry_after_s: float | None = None,
) -> Refusal:
    """Return the refusal of this reason in its own family, to be raised by the caller."""
    return REASONS[reason].family(
        reason, metadata=metadata, violations=violations, retry_after_s=retry_after_s
    )
