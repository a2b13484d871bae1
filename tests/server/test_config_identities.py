"""Settings of who is who: providers, JAAS files, what clients must have proven."""

from pathlib import Path

import pytest

from pyzk.sasl.digest_md5 import DigestClient
from pyzk.server.config.identities import (
    known_schemes,
    quorum_kerberos,
    quorum_login,
    quorum_users,
    required_schemes,
)
from pyzk.server.identities import exchanges, make_schemes, super_users
from tests.server.config_folder import Folder

SASL = "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\nclientPort=1\n"
JAAS = 'Server {\n org.apache.zookeeper.server.auth.DigestLoginModule required user_bob="secret";\n};\n'


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def jaas(folder: Folder, text: str = JAAS) -> str:
    path = folder.path / "jaas.conf"
    path.write_text(text, encoding="utf-8")
    return f"java.security.auth.login.config={path}\n"


def identity(config: object, user: str, password: str) -> str | None:
    """Who a client is that says this."""
    begin = exchanges(config)  # type: ignore[arg-type]
    assert begin is not None
    server, client = begin(), DigestClient(user, password, "nonce")
    proof = client.respond(server.respond(client.start()))
    assert proof is not None
    server.respond(proof)
    return server.identity


def test_without_sasl_settings_there_is_no_exchange(folder: Folder) -> None:
    assert exchanges(folder.load("clientPort=1\n")) is None
    assert exchanges(folder.load(SASL + jaas(folder, ""))) is None


def test_users_come_from_a_jaas_file_named_in_zoo_cfg_or_by_a_flag(folder: Folder) -> None:
    line = jaas(folder)
    for config in (folder.load(SASL + line), folder.load(SASL, environ={"SERVER_JVMFLAGS": f"-D{line.strip()}"})):
        assert identity(config, "bob", "secret") == "bob"


def test_users_come_from_zoo_cfg_too(folder: Folder) -> None:
    config = folder.load(f"{SASL}pyzk.sasl.user.ann=1\nzookeeper.pyzk.sasl.user.eve=2\n")
    assert identity(config, "ann", "1") == "ann"
    assert identity(config, "eve", "2") == "eve"


def test_the_section_has_another_name_on_demand(folder: Folder) -> None:
    config = folder.load(f"{SASL}{jaas(folder, JAAS.replace('Server', 'Mine'))}zookeeper.sasl.serverconfig=Mine\n")
    assert identity(config, "bob", "secret") == "bob"


def test_the_password_of_super_comes_from_a_setting(folder: Folder) -> None:
    text = f"{SASL}{jaas(folder)}zookeeper.SASLAuthenticationProvider.superPassword=top\n"
    assert identity(folder.load(text), "super", "top") == "super"


def test_host_and_realm_are_taken_off_on_demand(folder: Folder) -> None:
    text = f"{SASL}pyzk.sasl.user.zk/host@REALM=1\n"
    assert identity(folder.load(text), "zk/host@REALM", "1") == "zk/host@REALM"
    rule = "security.auth_to_local=RULE:[2:$1]\nkerberos.removeHostFromPrincipal=true\n"
    config = folder.load(f"{text}{rule}kerberos.removeRealmFromPrincipal=true\n")
    assert identity(config, "zk/host@REALM", "1") == "zk"


def test_rules_that_cannot_be_read_stop_the_server(folder: Folder) -> None:
    assert "RULE:[1:$1@$0]" in str(folder.refusal("security.auth_to_local=nonsense\n"))


def test_super_users_are_named_one_by_one(folder: Folder) -> None:
    config = folder.load("superUser=ann\nsuperUser.1=bob\nzookeeper.superUser.x=eve@REALM\nclientPort=1\n")
    assert super_users(config) == {b"ann", b"bob", b"eve@REALM"}


def test_schemes_are_there_by_their_providers(folder: Folder) -> None:
    package = "org.apache.zookeeper.server.auth"
    assert set(make_schemes(folder.load("clientPort=1\n"))) == {b"ip", b"digest"}
    text = f"{SASL}authProvider.2={package}.EnsembleAuthenticationProvider\n"
    config = folder.load(f"{text}DigestAuthenticationProvider.enabled=false\n")
    assert set(make_schemes(config)) == {b"ip", b"sasl", b"ensemble"}
    assert known_schemes(config) == {"ip", "sasl", "ensemble"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("Server {", "line 1"),
        ("Server { com.example.Module required; };", "login module that is not known"),
    ],
)
def test_a_jaas_file_that_cannot_be_used_stops_the_server(folder: Folder, text: str, message: str) -> None:
    line = jaas(folder, text) if text else "java.security.auth.login.config=/no/such\n"
    error = folder.refusal(SASL + line)
    assert error.setting == "java.security.auth.login.config"
    assert message in str(error)


def test_passwords_are_not_shown_in_complaints(folder: Folder) -> None:
    warnings = folder.warnings(f"{SASL}pyzk.sasl.user.bob=secret\npyzk.sasl.user.=\n")
    assert not any("secret" in warning for warning in warnings)


# What clients must have proven


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", frozenset()),
        ("enforce.auth.schemes=digest\n", frozenset()),
        ("enforce.auth.enabled=true\nenforce.auth.schemes=digest, ip\n", {"digest", "ip"}),
        ("sessionRequireClientSASLAuth=true\npyzk.sasl.user.bob=1\n", {"sasl"}),
        ("sessionRequireClientSASLAuth=true\nenforce.auth.schemes=digest\npyzk.sasl.user.bob=1\n", {"sasl"}),
    ],
)
def test_what_is_required(folder: Folder, text: str, expected: frozenset[str]) -> None:
    config, warnings = folder.load_with_warnings(SASL + text)
    assert required_schemes(config) == expected
    assert warnings == []


def test_enforcing_nothing_stops_the_server_with_apaches_message(folder: Folder) -> None:
    error = folder.refusal("enforce.auth.enabled=true\n")
    assert "zookeeper.enforce.auth.enabled is true zookeeper.enforce.auth.schemes must be  configured." in str(error)


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("enforce.auth.enabled=true\nenforce.auth.schemes=digest,nonsense\n", "enforce.auth.schemes"),
        ("sessionRequireClientSASLAuth=true\n", "sessionRequireClientSASLAuth"),
    ],
)
def test_requiring_a_scheme_that_is_not_there_stops_the_server(folder: Folder, text: str, setting: str) -> None:
    error = folder.refusal(text)
    assert error.setting == setting
    assert "is not available" in str(error)


def test_locking_everybody_out_is_worth_a_warning(folder: Folder) -> None:
    (warning,) = folder.warnings(f"{SASL}sessionRequireClientSASLAuth=true\n")
    assert "none can" in warning


def test_users_that_no_acl_can_name_are_worth_a_warning(folder: Folder) -> None:
    (warning,) = folder.warnings("clientPort=1\npyzk.sasl.user.bob=1\n")
    assert "SASLAuthenticationProvider" in warning


# Servers among themselves

QUORUM = (
    "QuorumServer {\n org.apache.zookeeper.server.auth.DigestLoginModule required user_zk=secret;\n};\n"
    "QuorumLearner {\n org.apache.zookeeper.server.auth.DigestLoginModule required username=zk password=secret;\n};\n"
)
ENABLED = "clientPort=1\nquorum.auth.enableSasl=true\n"


def test_servers_have_a_section_for_each_side(folder: Folder) -> None:
    config = folder.load(ENABLED + jaas(folder, QUORUM))
    assert quorum_login(config) == ("zk", "secret")
    assert quorum_users(config) == {"zk": "secret"}
    renamed = QUORUM.replace("QuorumServer", "One").replace("QuorumLearner", "Two")
    contexts = "quorum.auth.server.saslLoginContext=One\nquorum.auth.learner.saslLoginContext=Two\n"
    config = folder.load(ENABLED + contexts + jaas(folder, renamed))
    assert (quorum_login(config), quorum_users(config)) == (("zk", "secret"), {"zk": "secret"})


KERBEROS = "".join(
    f"{section} {{\n x.Krb5LoginModule required keyTab=k principal=zkquorum/a@R;\n}};\n"
    for section in ("QuorumServer", "QuorumLearner")
)


def test_servers_may_have_keytabs_in_fips_mode_too(folder: Folder) -> None:
    config = folder.load(f"{ENABLED}fips-mode=true\n" + jaas(folder, KERBEROS))
    for section in ("QuorumServer", "QuorumLearner"):
        module = quorum_kerberos(config, section)
        assert module is not None
        assert module.options == {"keyTab": "k", "principal": "zkquorum/a@R"}
    mixed = QUORUM.partition("QuorumLearner")[0] + KERBEROS.partition("};\n")[2]
    assert "not allowed in FIPS mode" in str(folder.refusal(f"{ENABLED}fips-mode=true\n" + jaas(folder, mixed)))


@pytest.mark.parametrize("module", ["x.Krb5LoginModule required keyTab=k", "x.LdapLoginModule required principal=a"])
def test_a_section_of_servers_that_proves_nothing_is_refused_by_name(folder: Folder, module: str) -> None:
    error = folder.refusal(ENABLED + jaas(folder, f"QuorumServer {{\n {module};\n}};\n"))
    assert "section QuorumServer of the JAAS file has a login module that is not known" in str(error)
    assert "a Krb5LoginModule with principal and keyTab" in str(error)


def test_a_password_in_zoo_cfg_goes_before_a_keytab(folder: Folder) -> None:
    keys = "pyzk.quorum.sasl.user=zk\npyzk.quorum.sasl.password=secret\n"
    config = folder.load(ENABLED + keys + jaas(folder, KERBEROS))
    assert quorum_kerberos(config, "QuorumServer") is None
    assert quorum_login(config) == ("zk", "secret")


def test_one_password_in_zoo_cfg_does_for_both_sides(folder: Folder) -> None:
    config = folder.load(f"{ENABLED}pyzk.quorum.sasl.user=zk\npyzk.quorum.sasl.password=secret\n")
    assert (quorum_login(config), quorum_users(config)) == (("zk", "secret"), {"zk": "secret"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "quorum.auth.learnerRequireSasl=true\n",
            "quorum.auth.enableSasl is disabled, so cannot enable quorum.auth.learnerRequireSasl",
        ),
        (
            "quorum.auth.serverRequireSasl=true\n",
            "quorum.auth.enableSasl is disabled, so cannot enable quorum.auth.serverRequireSasl",
        ),
        (
            f"{ENABLED}quorum.auth.serverRequireSasl=true\n",
            "quorum.auth.learnerRequireSasl is disabled, so cannot enable quorum.auth.serverRequireSasl",
        ),
        (ENABLED, "the specified JAAS configuration section 'QuorumServer' could not be found."),
        (
            f"{ENABLED}fips-mode=true\npyzk.quorum.sasl.user=zk\npyzk.quorum.sasl.password=secret\n",
            "DIGEST-MD5 between servers is not allowed in FIPS mode",
        ),
    ],
)
def test_what_does_not_fit_together_stops_the_server_with_apaches_message(
    folder: Folder, text: str, message: str
) -> None:
    assert message in str(folder.refusal(text))
