"""The shell's connection: one client at a time, requests with the path they fail for, and watch events as text."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from ssl import SSLContext
from typing import ParamSpec, TextIO, TypeVar

from pyzk.client.aio import Client
from pyzk.client.aio_login import Login
from pyzk.client.aio_watch import WatchEvent
from pyzk.client.effects import State
from pyzk.client.hosts import parse_hosts
from pyzk.client.watches import REMOVED_AS
from pyzk.codec.opcodes import EventType, WatcherType
from pyzk.errors import ConnectionLostError, PyzkError, SessionClosedError, SessionExpiredError
from pyzk.tools.javatext import hexadecimal
from pyzk.tools.shell.options import CommandError
from pyzk.tools.shell.texts import RequestFailedError

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")

ATTEMPT_WAIT_S = 0.05
SEVERAL_SERVERS_WAIT_S = 10.0

KEEPER_STATES: dict[State, str] = {
    State.CONNECTING: "Disconnected",
    State.CONNECTED: "SyncConnected",
    State.CONNECTED_READ_ONLY: "ConnectedReadOnly",
    State.EXPIRED: "Expired",
    State.AUTH_FAILED: "AuthFailed",
    State.CLOSED: "Closed",
}
"""Names in a WatchedEvent."""

EXPECTED_STATES = frozenset({State.CONNECTED, State.CONNECTED_READ_ONLY, State.CLOSED})
"""Not worth a JSON document."""

PROMPT_STATES: dict[State, str] = {
    State.CONNECTING: "CONNECTING",
    State.CONNECTED: "CONNECTED",
    State.CONNECTED_READ_ONLY: "CONNECTEDREADONLY",
    State.EXPIRED: "CLOSED",
    State.AUTH_FAILED: "AUTH_FAILED",
    State.CLOSED: "CLOSED",
}


class ShellClient(Client):
    """A client that is used before it is connected, and that tells why it is not."""

    @property
    def last_failure(self) -> str:
        """Why the last attempt to connect failed; empty if none has."""
        return self._session.last_failure

    @property
    def server_count(self) -> int:
        """How many servers there are to try."""
        return len(parse_hosts(self.hosts)[0])

    def forget_failure(self) -> None:
        """From now on `last_failure` is about later attempts."""
        self._session.last_failure = ""

    def forget_watches(self, path: str, kind: WatcherType) -> list[EventType]:
        """Drop watches without asking the server; the events that tell of it."""
        raw = self._session.chroot.add(path.encode())
        return [event for event, _ in self._session.watches.remove(raw, kind) if kind in REMOVED_AS]


class Screen:
    """Where text goes. With `json` there is only one JSON document for each command, and one for each event."""

    def __init__(self, out: TextIO, err: TextIO, *, json: bool = False) -> None:
        self.out = out
        self.err = err
        self.json = json

    def say(self, text: str) -> None:
        """A line on standard output."""
        if not self.json:
            self._write(self.out, f"{text}\n")

    def say_part(self, text: str) -> None:
        """Text on standard output without a line end."""
        if not self.json:
            self._write(self.out, text)

    def note(self, text: str) -> None:
        """A line on standard error."""
        if not self.json:
            self._write(self.err, f"{text}\n")

    def show(self, value: object) -> None:
        """The value of a command, as JSON."""
        if self.json:
            self._write(self.out, json.dumps(value, ensure_ascii=False) + "\n")

    def fail(self, error: CommandError) -> None:
        """A command failed."""
        if self.json:
            self.show({"error": str(error)})
        else:
            self._write(self.err, f"{error}\n")

    @staticmethod
    def _write(stream: TextIO, text: str) -> None:
        # Names that are no UTF-8 must not end the shell.
        stream.write(text.encode("utf-8", "replace").decode("utf-8"))
        stream.flush()


class Session:
    """What the commands work on.

    Args:
        screen: where they print.
        timeout_ms: session timeout to ask for.
        read_only: a server without a quorum will do.
        ssl: for TLS.
        login: for SASL.
    """

    def __init__(
        self,
        screen: Screen,
        *,
        timeout_ms: int = 30_000,
        read_only: bool = False,
        ssl: SSLContext | None = None,
        login: Login | None = None,
    ) -> None:
        self.screen = screen
        self.timeout_ms = timeout_ms
        self.read_only = read_only
        self.ssl = ssl
        self.login = login
        self.hosts = ""
        self.print_watches = True
        self.wait_for_connection = False
        self.current: ShellClient | None = None
        self._starting: asyncio.Task[None] | None = None
        self._silence: Callable[[], object] = bool
        # One object, so that two watches of ours on one znode tell of a change once, as Java's default watcher does.
        self.watcher = self._on_event

    @property
    def client(self) -> ShellClient:
        """The client of the latest `connect`."""
        assert self.current is not None
        return self.current

    @property
    def is_alive(self) -> bool:
        """False when the session has ended: commands say "Not connected"."""
        return self.current is not None and not self.current.state.final

    @property
    def prompt_state(self) -> str:
        """The state as the prompt shows it."""
        return PROMPT_STATES[self.client.state]

    async def connect(self, hosts: str) -> None:
        """Begin a session with other servers; the present one is closed. Raises CommandError."""
        try:
            client = ShellClient(
                hosts,
                timeout_ms=self.timeout_ms,
                read_only=self.read_only,
                ssl=self.ssl,
                login=self.login,
                connect_timeout_s=None,
            )
        except ValueError as error:
            raise CommandError(str(error)) from error
        if self.is_alive:
            await self.close()
        self.hosts, self.current = hosts, client
        self._silence = client.listen(self._on_state)
        self._starting = asyncio.create_task(client.start())
        self._starting.add_done_callback(_swallow)
        await asyncio.sleep(0)  # lets it begin: requests are taken from here on
        if self.wait_for_connection:
            try:
                await self._wait_connected(self.timeout_ms / 1000)
            except PyzkError as error:
                raise RequestFailedError(error, None) from error

    async def close(self, *, silently: bool = False) -> None:
        """End the session; `silently` without the event that says so."""
        if self.current is None or self._starting is None:
            return
        if silently:
            self._silence()
        await self.current.close()
        self._starting.cancel()
        with contextlib.suppress(asyncio.CancelledError, PyzkError):
            await self._starting
        await asyncio.sleep(0)  # lets the Closed event be printed

    async def ask(
        self,
        path: str | None,
        request: Callable[Arguments, Awaitable[Result]],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Send a request when there is a connection. Raises RequestFailedError, which names the path."""
        try:
            if not self.client.state.connected:
                wait_s = SEVERAL_SERVERS_WAIT_S if self.client.server_count > 1 else self.timeout_ms / 1000
                await self._wait_connected(min(wait_s, self.timeout_ms / 1000))
            return await request(*args, **kwargs)
        except PyzkError as error:
            if self.client.state is State.EXPIRED:
                raise RequestFailedError(SessionExpiredError("expired"), path) from error
            raise RequestFailedError(error, path) from error

    async def _wait_connected(self, wait_s: float) -> None:
        """Wait for a connection: with one server only as long as its first answer takes, as zkCli.sh does."""
        client = self.client
        client.forget_failure()
        deadline = asyncio.get_running_loop().time() + wait_s
        while not client.state.connected:
            if client.state.final:
                raise SessionClosedError(f"the session is {client.state.value}")
            failed = client.last_failure and client.server_count == 1 and not self.wait_for_connection
            if failed or asyncio.get_running_loop().time() > deadline:
                raise ConnectionLostError(client.last_failure or "no answer in time")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ATTEMPT_WAIT_S):
                    await client.wait_connected()

    # Events

    def _on_state(self, state: State) -> None:
        self.tell(EventType.NONE, "", state, -1)

    def _on_event(self, event: WatchEvent) -> None:
        if event.type is not EventType.NONE:  # the session's state is told once, by the listener
            self.tell(event.type, event.path, event.state, event.zxid)

    def tell(self, kind: EventType, path: str, state: State, zxid: int) -> None:
        """Print an event."""
        if not self.print_watches:
            return
        name = kind.name.title().replace("_", "")
        state_name = KEEPER_STATES[state]
        if self.screen.json:
            if kind is EventType.NONE and state in EXPECTED_STATES:
                return  # a script wants its answers and nothing else
            event = {"state": state_name, "type": name, "path": path or None, "zxid": f"0x{hexadecimal(zxid)}"}
            self.screen.show({"event": event})
        else:
            text = f"WatchedEvent state:{state_name} type:{name} path:{path or 'null'} zxid: {zxid}"
            self.screen.say(f"\nWATCHER::\n\n{text}")


def _swallow(starting: "asyncio.Task[None]") -> None:
    """How the session ends is told by its state; nobody waits for the attempt to begin it."""
    if not starting.cancelled():
        starting.exception()


def read_file(path: str) -> str:
    """The text of a file that the user named. Raises CommandError."""
    try:
        return Path(path).read_text(encoding="latin-1")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CommandError(f"Error processing {path}{path} ({reason})") from error
