"""Requests to the admin port of a server process, as its super user."""

import urllib.error
import urllib.request

from pyzk.tree.acl import digest_id

SUPER = {"Authorization": "digest super:secret"}
WITH_SUPER = {"DigestAuthenticationProvider.superDigest": digest_id(b"super:secret").decode()}
"""What a configuration needs for that."""
TIMEOUT_S = 60


def fetch(port: int, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
