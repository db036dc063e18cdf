"""Whether an authority of HOME issued a certificate that somebody wrote into the register.

The register is rows, and whoever owns the database writes rows. So what a signature hangs on, or to
whom a file is encrypted, is judged by the authorities in HOME/public as well, in the steps of
`verify`: path by two verifiers, profile, trust domain. But at the moment it was signed at, and
without lists: that it was revoked since, the register, HOME and the front say. And by what no
profile may change: the front holds every connection against the profile in force, and what was
signed over one does not become false when a later profile is narrower (decision 0019).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import Certificate, ExtensionNotFound, KeyUsage

from gateway.clock import to_datetime
from gateway.config.home import Home
from gateway.config.watched import Watched
from gateway.names import MalformedNameError, Subject
from gateway.pki import authorities, ended, keys, lint, profile, retired
from gateway.pki.paths import OpenSslPath, PathError, RustPath, Trust

# What a person's certificate is for.
Use = Literal["client", "encryption"]
# What its key must be for (RFC 5280 section 4.2.1.3), whatever its profile says besides.
_USAGES: Mapping[Use, str] = {"client": "digital_signature", "encryption": "key_agreement"}
# Judgements remembered; beyond this the memory is emptied.
_REMEMBERED_MAX = 4_096


@dataclass(frozen=True, slots=True)
class _Judged:
    """Whom a certificate names, and between which moments it and its authority live.

    `until_leaf`: where the log told that the authority was retired; None: it is trusted.
    """

    subject: Subject
    since: datetime
    until: datetime
    until_leaf: int | None


class Issuers:
    """The authorities as their files are at that moment; one per process.

    `former`: those that were retired count too, for what the log tells before their retirement.
    `revoked` are the certificates that HOME knows to be.
    """

    def __init__(self, home: Home, trust_domain: str, *, former: bool = False) -> None:
        """Read nothing yet."""
        self._paths = [home.client_authority_certificate, home.root_certificate]
        if former:
            self._paths.append(home.former_authorities)
        self.revoked = ended.Revoked(home)
        self._retired: dict[Certificate, int] = {}
        self._trust_domain = trust_domain
        self._seen: list[tuple[int, int, int] | None] = []
        self._judged: dict[tuple[bytes, Use], _Judged] = {}
        self._trust = Trust(())

    def subject(
        self, certificate: Certificate, use: Use, at_us: int, leaf: int | None = None
    ) -> Subject | None:
        """Return whom a certificate named at a moment, None where none of ours issued it so.

        `leaf` is where the log tells what is judged, for what a retired authority issued.
        Raises SettingsError, OSError where the authorities' files are not as they must be.
        """
        self._look()
        key, at = (certificate.fingerprint(SHA256()), use), to_datetime(at_us)
        known = self._judged.get(key) or self._judge(certificate, use, at)
        if known is None or not known.since <= at < known.until:
            return None
        if known.until_leaf is not None and (leaf is None or leaf >= known.until_leaf):
            return None
        if len(self._judged) >= _REMEMBERED_MAX:
            self._judged.clear()
        self._judged[key] = known
        return known.subject

    def key_of(self, certificate: Certificate) -> str:
        """Return the SHA-256 of the key of ours that signed a certificate, whenever; "" of none.

        Raises as `subject`.
        """
        self._look()
        signers = (one for one in self._trust.anchors if authorities.is_ours(certificate, [one]))
        return next((keys.spki_sha256(one.public_key()).hex() for one in signers), "")

    def _judge(self, certificate: Certificate, use: Use, at: datetime) -> _Judged | None:
        try:
            anchor = OpenSslPath(self._trust).path(certificate, (), at)[-1]
            ours = anchor not in self._trust.external
            kind: profile.Kind = "external-client" if use == "client" and not ours else use
            if lint.lasting(certificate, profile.load(kind)) or not _is_for(certificate, use):
                return None
            RustPath(self._trust).check(certificate, (), at)
            subject = lint.subject_of(certificate)
        except (PathError, MalformedNameError):
            return None
        if subject.trust_domain != self._trust_domain:
            return None
        return _Judged(
            subject,
            max(certificate.not_valid_before_utc, anchor.not_valid_before_utc),
            min(certificate.not_valid_after_utc, anchor.not_valid_after_utc),
            self._retired.get(anchor),
        )

    def _look(self) -> None:
        """Take the files anew where one of them changed, and forget what was judged by them."""
        # Before what is in them is read: a change meanwhile shows itself at the next look.
        seen = [Watched(path).state() if path.exists() else None for path in self._paths]
        if seen == self._seen:
            return
        bundle, roots, *former = self._paths
        own = authorities.read(roots)
        anchors = authorities.read(bundle)
        gone = [one for path in former for one in retired.read(path)]
        # One that is trusted again is not retired; one without a leaf proves nothing.
        self._retired = {
            one.certificate: one.leaf
            for one in gone
            if one.leaf is not None and one.certificate not in anchors
        }
        anchors += list(self._retired)
        external = tuple(one for one in anchors if not authorities.is_ours(one, own))
        self._trust = Trust(tuple(anchors), lists="none", external=external)
        self._judged.clear()
        self._seen = seen


def _is_for(certificate: Certificate, use: Use) -> bool:
    """Tell whether the key may be used so, and issues nothing; without a word on it, it may not."""
    try:
        usage = certificate.extensions.get_extension_for_class(KeyUsage).value
    except (ExtensionNotFound, ValueError):
        return False
    return bool(getattr(usage, _USAGES[use])) and not (usage.key_cert_sign or usage.crl_sign)
