"""The trace of a run: one line per event, in fixed columns, so that a run can be read, and searched."""

from dataclasses import dataclass

HEADINGS = f"{'seconds':>12} n {'step':>7} r {'epoch':>5} {'log ends':>12} {'committed':>12} what"


@dataclass(slots=True)
class TraceLine:
    """Something that happens in a world.

    Attributes:
        at: simulated seconds.
        server_id: where it happens, 0 for the world itself.
        step: how much has happened before.
        role: L for an established leader, F and O for a follower and an observer that serve, small letters before that,
            e for who takes part in an election, - for nothing of all that.
        epoch: durable on that server, as far as it knows.
        last_zxid: the end of its log.
        committed_zxid: where its tree stands.
        what: the event (<), the effect (>), or what is done to the server.
    """

    at: float
    server_id: int
    step: int
    role: str
    epoch: int
    last_zxid: int
    committed_zxid: int
    what: str

    def __str__(self) -> str:
        zxids = f"{self.last_zxid:12x} {self.committed_zxid:12x}"
        return f"{self.at:12.6f} {self.server_id} {self.step:7} {self.role} {self.epoch:5} {zxids} {self.what}"

    def packed(self) -> list[float | int | str]:
        """The fields in their order, for a file."""
        numbers: list[float | int | str] = [
            self.at,
            self.server_id,
            self.step,
            self.role,
            self.epoch,
            self.last_zxid,
            self.committed_zxid,
        ]
        return [*numbers, self.what]
