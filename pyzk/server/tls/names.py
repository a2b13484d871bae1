"""Whose a certificate is: the name of its owner as Java writes it, and the hosts that it was made out to.

Source: docs/protocol/client-protocol.md section 8, docs/protocol/configuration.md section 7. Names: RFC 2253.
"""

from collections.abc import Iterable
from ipaddress import ip_address

from cryptography import x509
from cryptography.x509.oid import NameOID

from pyzk.server.tls.der import element
from pyzk.tree.acl import Identity

KEYWORDS = {
    NameOID.COMMON_NAME: "CN",
    NameOID.COUNTRY_NAME: "C",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.STREET_ADDRESS: "STREET",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.USER_ID: "UID",
}
"""All other kinds of parts are written as numbers and their values as bytes."""
_ESCAPED = frozenset(',=+<>#;"\\')


def subject_of(certificate: x509.Certificate) -> str:
    """Its owner as Java's `X500Principal.getName()` has him: `CN=client,O=Example`, the last part first."""
    return java_name(certificate.subject)


def java_name(name: x509.Name) -> str:
    """A name in Java's RFC 2253 form."""
    return ",".join("+".join(map(_part, level)) for level in reversed(name.rdns))


def _part(attribute: x509.NameAttribute[str | bytes]) -> str:
    keyword = KEYWORDS.get(attribute.oid)
    value = attribute.value
    if keyword is None or isinstance(value, bytes):
        return f"{keyword or attribute.oid.dotted_string}=#{_value_der(attribute).hex()}"
    return f"{keyword}={_escape(value)}"


def _value_der(attribute: x509.NameAttribute[str | bytes]) -> bytes:
    """The value as it stands in the certificate: what comes last in a name of this part alone."""
    encoded, position = x509.Name([attribute]).public_bytes(), 0
    for _ in range(3):  # the name, its level, its part
        position, _ = element(encoded, position)
    _, end_of_kind = element(encoded, position)
    return encoded[end_of_kind:]


def _escape(value: str) -> str:
    escaped = "".join(f"\\{one}" if one in _ESCAPED else "\\00" if one == "\0" else one for one in value)
    body = escaped.lstrip(" \r")
    leading = escaped[: len(escaped) - len(body)]
    core = body.rstrip(" \r")
    trailing = body[len(core) :]
    return "".join(f"\\{one}" for one in leading) + core + "".join(f"\\{one}" for one in trailing)


def identities(encoded: bytes | None, super_user: str | None) -> tuple[Identity, ...]:
    """Who a client is by its certificate (DER), if it has shown one."""
    if encoded is None:
        return ()
    subject = subject_of(x509.load_der_x509_certificate(encoded))
    proven = [(b"x509", subject.encode())]
    if subject == super_user:
        proven.append((b"super", subject.encode()))
    return tuple(proven)


def is_made_out_to(certificate: x509.Certificate, hosts: Iterable[str]) -> bool:
    """Whether one of these hosts, names or addresses, is among those of the certificate."""
    names, addresses = _hosts_of(certificate)
    return any(_matches(host, names, addresses) for host in hosts)


def hosts_text(certificate: x509.Certificate) -> str:
    """The hosts of a certificate, for people."""
    names, addresses = _hosts_of(certificate)
    return ", ".join([*names, *addresses]) or "none"


def _hosts_of(certificate: x509.Certificate) -> tuple[list[str], list[str]]:
    """Names and addresses; the common name counts where there is nothing else, as in Java."""
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [str(part.value) for part in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)], []
    names = alternatives.get_values_for_type(x509.DNSName)
    return names, [str(address) for address in alternatives.get_values_for_type(x509.IPAddress)]


def _matches(host: str, names: list[str], addresses: list[str]) -> bool:
    try:
        address = str(ip_address(host.partition("%")[0]))
    except ValueError:
        return any(_matches_name(host.lower().rstrip("."), name.lower().rstrip(".")) for name in names)
    return address in addresses


def _matches_name(host: str, pattern: str) -> bool:
    """A `*` stands for the first label, and for one only."""
    if not pattern.startswith("*."):
        return host == pattern
    first, dot, rest = host.partition(".")
    return bool(first and dot) and rest == pattern[2:] and "." in rest
