"""`pyzk certs`: what it makes is taken by servers, and not by strangers."""

import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from pyzk.server.config.fields_security import TlsSettings
from pyzk.server.tls.contexts import Contexts
from pyzk.server.tls.names import is_made_out_to, subject_of
from pyzk.server.tls.stores import read_store
from pyzk.tools.certs import main
from pyzk.tools.output import ToolError
from pyzk.zab.properties import parse_properties


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "certs"


def certificate(path: Path) -> x509.Certificate:
    return read_store(str(path), "").chain[0]


def test_a_server_and_a_client_by_a_new_ca(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), "zk1.example.com,10.0.0.1", "--client", "admin"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        *("admin.pem", "admin.properties", "ca.key.pem", "ca.pem", "zk1.example.com.pem"),
    ]
    server = certificate(folder / "zk1.example.com.pem")
    for host in ("zk1.example.com", "10.0.0.1"):
        assert is_made_out_to(server, [host])
    usage = server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    (ca,) = read_store(str(folder / "ca.pem"), "").trusted
    server.verify_directly_issued_by(ca)
    assert f"x509:{subject_of(certificate(folder / 'admin.pem'))}" in capsys.readouterr().out


def test_secrets_are_for_their_owner_alone(folder: Path) -> None:
    main([str(folder), "zk1", "--client", "app"])
    for name in ("ca.key.pem", "zk1.pem", "app.pem"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_contexts_take_the_files(folder: Path) -> None:
    main([str(folder), "zk1"])
    settings = TlsSettings(key_store_location=str(folder / "zk1.pem"), trust_store_location=str(folder / "ca.pem"))
    contexts = Contexts(settings, "ssl.", dials=True)
    contexts.load()
    assert len(contexts.accepting.get_ca_certs()) == 1


def test_the_second_time_the_ca_is_the_same_and_the_certificate_new(folder: Path) -> None:
    main([str(folder), "zk1"])
    ca, first = (folder / "ca.pem").read_bytes(), certificate(folder / "zk1.pem")
    main([str(folder), "zk1", "--days", "30"])
    second = certificate(folder / "zk1.pem")
    assert (folder / "ca.pem").read_bytes() == ca
    assert second.serial_number != first.serial_number
    assert second.not_valid_after_utc < first.not_valid_after_utc


def test_a_client_has_the_properties_of_javas_client(folder: Path) -> None:
    main([str(folder), "--client", "app"])
    path = folder / "app.properties"
    found = {entry.key: entry.value for entry in parse_properties(path.read_text(), str(path))}
    assert found["zookeeper.client.secure"] == "true"
    assert Path(found["zookeeper.ssl.keyStore.location"]).is_file()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "name at least one"),
        (["ca"], "cannot be the name of a file here"),
        (["a/b"], "cannot be the name of a file here"),
        (["büro"], "no host name"),
        (["--client", "x" * 65], "cannot be a name in a certificate"),
    ],
)
def test_what_cannot_be_made_is_said(folder: Path, arguments: list[str], reason: str) -> None:
    with pytest.raises(ToolError, match=reason):
        main([str(folder), *arguments])


def test_half_a_ca_is_not_taken_for_none(folder: Path) -> None:
    main([str(folder), "zk1"])
    (folder / "ca.key.pem").unlink()
    with pytest.raises(ToolError, match=r"has one of ca\.pem and ca\.key\.pem"):
        main([str(folder), "zk1"])


def test_a_foreign_ca_is_not_written_over(folder: Path) -> None:
    main([str(folder), "zk1"])
    (folder / "ca.key.pem").write_text("no key")
    with pytest.raises(ToolError, match="cannot be read"):
        main([str(folder), "zk1"])


def test_keys_are_of_a_curve_that_everybody_has(folder: Path) -> None:
    main([str(folder), "zk1"])
    key = read_store(str(folder / "zk1.pem"), "").key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)
