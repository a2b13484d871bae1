"""Ids of scheme x509, as Java's X500Principal takes them (tests/vectors/tls/acl-ids.txt, written by Java 17)."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.tree.x509 import X509Scheme

VECTORS = Path(__file__).parent.parent / "vectors" / "tls" / "acl-ids.txt"
LINES = [line.split("\t") for line in VECTORS.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("verdict", "name"), LINES)
def test_names_are_judged_as_java_judges_them(verdict: str, name: str) -> None:
    assert X509Scheme().valid(name.encode()) is (verdict == "true")


@given(st.binary(max_size=40))
def test_any_bytes_are_judged(acl_id: bytes) -> None:
    assert X509Scheme().valid(acl_id) in {True, False}


def test_an_identity_is_meant_by_an_entry_that_is_written_alike() -> None:
    scheme = X509Scheme()
    assert scheme.is_authenticated
    assert scheme.matches(b"CN=a,O=b", b"CN=a,O=b")
    assert not scheme.matches(b"CN=a,O=b", b"CN=a, O=b")
