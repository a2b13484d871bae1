"""The example of a provider in docs/authentication.md, on a real server."""

import hashlib
import hmac
import re
from pathlib import Path

import pytest
from kazoo.exceptions import AuthFailedError, NoAuthError
from kazoo.security import ACL, Id

from tests.integration.conftest import Connect, MakeServer

PAGE = Path(__file__).parents[2] / "docs" / "authentication.md"


def test_the_page_has_a_provider_that_works(
    make_server: MakeServer, connect: Connect, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (line,) = re.findall(r"^authProvider\.1=(ticket.*)$", PAGE.read_text(), re.MULTILINE)
    folder = tmp_path_factory.mktemp("provider")
    (folder / "ticket_provider.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    server = make_server(**{"authProvider.1": line})
    signature = hmac.new(b"secret", b"ann", hashlib.sha256).hexdigest()
    client = connect(server)
    client.add_auth("ticket", f"ann:{signature}")
    client.create("/mine", b"1", acl=[ACL(31, Id("ticket", "ann"))])
    client.create("/all", b"1", acl=[ACL(31, Id("ticket", "*"))])
    assert (client.get("/mine")[0], client.get("/all")[0]) == (b"1", b"1")
    with pytest.raises(NoAuthError):
        connect(server).get("/mine")
    with pytest.raises(AuthFailedError):
        connect(server).add_auth("ticket", "ann:wrong")
