"""A few lines of HTTP client, byte by byte."""

import asyncio
import ssl

PATIENCE_S = 20.0
Answer = tuple[int, dict[str, str], bytes]
"""Status, headers with names in lower case, body."""


async def get(
    port: int, path: str, method: str = "GET", body: bytes = b"", *, tls: ssl.SSLContext | None = None, **headers: str
) -> Answer:
    """One request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    async with asyncio.timeout(PATIENCE_S):
        answer = await reader.read()
    writer.close()
    return parse(answer)


def parse(answer: bytes) -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    found = {name.lower(): value for name, _, value in pairs}
    if found.get("transfer-encoding") == "chunked":
        body = unchunked(body)
    return int(status.split()[1]), found, body


def unchunked(body: bytes) -> bytes:
    pieces = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        pieces.append(rest[:length])
        body = rest[length + 2 :] if length else b""
    return b"".join(pieces)
