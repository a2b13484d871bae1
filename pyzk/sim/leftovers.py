"""What a server finds in its directories that it has not left there itself; these come only in runs with extras.

An operator has been at work, or a server of Apache's, or the disk has had enough of it. Each says what a server may
make of it: nothing that was acknowledged is lost where a server must not be in doubt afterwards.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from pyzk.codec.opcodes import OpCode
from pyzk.codec.txns import ErrorTxn, Txn, TxnHeader
from pyzk.sim.mishaps import doom_change, victim
from pyzk.sim.plan import Fault
from pyzk.storage import names
from pyzk.storage.database import INITIALIZE
from pyzk.storage.disk import replace
from pyzk.storage.epochs import ACCEPTED, CURRENT, known_epoch
from pyzk.storage.logreader import LogReader
from pyzk.storage.member import DOUBT
from pyzk.storage.snapshot import TEMPORARY_SUFFIX
from pyzk.storage.switch import PENDING, remove
from pyzk.storage.txnlog import LOG_HEADER, RECORD_HEAD, frame_record, frame_records

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzk.sim.faults import Faults
    from pyzk.sim.host import Host

LEFTOVERS_MAX = 6
REPEATED_MAX = 6
DISK_FAILURES = "failing_writes", "failing_truncates", "failing_syncs"
"""Of a simulated disk."""
WRONG_BYTES = 1 << 20
"""A length that a record may have, and that none has here."""


def draw_leftovers(seed: int, seconds: float) -> list[Fault]:
    """Those of a run, by time."""
    rng = Random(f"{seed} leftovers")
    times = sorted(rng.uniform(0.1, 0.95) * seconds for _ in range(rng.randrange(LEFTOVERS_MAX + 1)))
    return [Fault(at, rng.choice(list(LEFTOVERS)), rng.getrandbits(32)) for at in times]


def _ended(faults: Faults) -> Host:
    """Somebody who has ended and comes back; nothing of what it has is to be lost."""
    host = faults.some_host()
    faults.crash(host)
    return host


def _readers(host: Host) -> list[LogReader]:
    """The log files of a server, oldest first, read to their ends."""
    directory, disk = host.machine.places.logs, host.disk
    readers = [LogReader(disk, directory, name) for _, name in names.logs(disk.names(directory))]
    for reader in readers:
        for _ in reader:
            pass
    return readers


def _newest(host: Host) -> LogReader | None:
    """Its newest log, if that ends with a whole record."""
    readers = _readers(host)
    is_whole = readers and readers[-1].damage is None and readers[-1].last_zxid
    return readers[-1] if is_whole else None


def _end(reader: LogReader) -> int:
    """The newest txn of a log; records that stand there twice may be behind it."""
    return max(zxid for zxid, _, _ in reader)


def _write(host: Host, path: str, position: int, data: bytes) -> None:
    file = host.disk.open(path)
    file.write(position, data)
    file.sync()
    file.close()


def _put(host: Host, directory: str, name: str, content: bytes) -> None:
    host.disk.make_directory(directory)
    replace(host.disk, directory, name, content)


# What Apache's servers leave.


def _repeat_txns(faults: Faults) -> None:
    """The newest log ends with txns that stand there already, and perhaps with an error that has the last one's zxid.

    A learner of Apache's 3.8.0 logs what a DIFF has brought it twice (docs/storage.md), and a leader that cannot decode
    a request reuses the zxid (docs/protocol/apache-defects.md, row 1).
    """
    host, rng = _ended(faults), faults.rng
    newest = _newest(host)
    if newest is None:
        return
    payloads = [payload for _, _, payload in newest]
    begin = rng.randrange(len(payloads))
    repeated = payloads[begin : begin + rng.randrange(1, REPEATED_MAX)]
    if rng.random() < 0.5:
        header = TxnHeader(1, 1, _end(newest), host.boot, OpCode.ERROR)
        repeated.insert(0, Txn(header, ErrorTxn(-1)).encode())
    _write(host, newest.path, newest.position, frame_records(repeated))


def _tear_old_log(faults: Faults) -> None:
    """Behind the last record of a log that others follow is the beginning of one: nobody was told of that.

    Where the next file begins another epoch, this may have been more, and a server does best to doubt.
    """
    host = victim(faults)
    old = _readers(host)[:-1] if host is not None else []
    if host is not None and old:
        reader, record = faults.rng.choice(old), frame_record(faults.rng.randbytes(60))
        _write(host, reader.path, reader.position, record[: faults.rng.randrange(1, len(record))])


# What operators do.


def _leave_strays(faults: Faults) -> None:
    """Files that mean nothing, or nothing any more: of a snapshot that was given up, a log without a txn, a marker."""
    host, rng = _ended(faults), faults.rng
    places, newest = host.machine.places, _newest(host)
    was_new = INITIALIZE in host.disk.names(places.marker_directory)
    if rng.random() < 0.5 and not host.may_doubt:
        _put(host, places.marker_directory, INITIALIZE, b"")
    if rng.random() < 0.5:
        _put(host, places.snapshots, f"{names.snapshot_name(rng.getrandbits(33))}{TEMPORARY_SUFFIX}", rng.randbytes(20))
    if rng.random() < 0.5 and newest is not None:
        name = names.log_name(_end(newest) + 1)
        _put(host, places.logs, name, LOG_HEADER[: rng.choice((0, 4, 16))] + bytes(rng.choice((0, 600))))
    # With a marker a server is new that has lost its files, or loses them meanwhile: who does not start has none.
    faults.restart(host)
    if not (host.is_up or was_new) and INITIALIZE in host.disk.names(places.marker_directory):
        host.disk.remove(f"{places.marker_directory}/{INITIALIZE}")


def _trust(faults: Faults) -> None:
    """A server is in doubt because of a file that means nothing, and its operator knows better."""
    _trust_files(faults, faults.some_host())


def _trust_tail(faults: Faults) -> None:
    """What a server trusts, and has in a snapshot then, ends with what nobody else has: it has to give that up."""
    _leave_tail(faults, faults.rng.choice((doom_change, lambda *_: None)))


def _leave_lone_snapshot(faults: Faults) -> None:
    """The same, and there is nothing older that it could go back to."""
    _leave_tail(faults, _keep_newest_snapshot)


def _leave_tail(faults: Faults, then: Callable[[Faults, Host], None]) -> None:
    leader, world = faults.world.leader, faults.world
    if leader is None or leader.is_frozen:
        return
    world.cut_off(leader.server_id)
    leader.propose(faults.rng.randrange(1, 4))
    # Without power, so that what is on its way to the others does not get there.
    faults.soon(0.2, lambda: leader.crash(has_no_power=True))
    faults.soon(0.2, faults.heal_network)
    faults.soon(0.2, lambda: world.be_quiet(5.0))
    faults.soon(4.0, lambda: _trust_files(faults, leader))
    faults.soon(4.0, lambda: then(faults, leader))


def _trust_files(faults: Faults, host: Host) -> None:
    faults.crash(host)
    directory = host.machine.places.snapshots
    found = host.disk.names(directory)
    if names.snapshots(found) and not {PENDING, DOUBT} & set(found) and not host.may_doubt:
        _put(host, directory, PENDING, faults.rng.choice((b"", b"nothing", b"truncate x")))
        host.machine.trusts_own_data = True
    # Nothing else is to happen to what is trusted; and who is no member does not start, and trusts nothing later.
    faults.restart(host)
    if host.machine.trusts_own_data:
        host.machine.trusts_own_data = False
        if PENDING in host.disk.names(directory):  # a start that failed at the list of servers may have taken it
            host.disk.remove(f"{directory}/{PENDING}")


def _keep_newest_snapshot(faults: Faults, host: Host) -> None:
    """An operator removes all other files of a server that has just begun with what it trusts: that is in there."""
    if host.may_doubt or not host.is_up:
        return
    host.crash(has_no_power=False)
    disk, places = host.disk, host.machine.places
    *older, (zxid, _) = names.snapshots(disk.names(places.snapshots))
    checker = faults.world.checker
    log = checker.servers.logs[host.server_id]
    if checker.sequence.real(zxid) == log.end:
        log.floor = log.end
        remove(disk, places.snapshots, [name for _, name in older])
        remove(disk, places.logs, [name for _, name in names.logs(disk.names(places.logs))])
    faults.restart(host)


def _trust_nothing(faults: Faults) -> None:
    """There is nothing that a server could make do with: it stays in doubt."""
    host = victim(faults)
    if host is not None:
        faults.lose_data(host)
        host.machine.trusts_own_data = True


def _renew_observer(faults: Faults) -> None:
    """An observer gets another disk, or has nothing on it but its epochs, or all but these.

    It begins anew, if its operator has said that this is right, or if servers do not ask. Nothing is kept of what has
    been damaged before.
    """
    world, rng = faults.world, faults.rng
    sequence = world.checker.sequence
    observers = [host for host in world.hosts.values() if not host.votes and not sequence.may_vote(host.server_id)]
    if not observers:
        return
    host = rng.choice(observers)
    keeps_epochs, keeps_data = rng.choice(((False, False), (True, False), (False, True)))
    keeps_epochs, keeps_data = keeps_epochs and not host.may_doubt, keeps_data and not host.may_doubt
    may_begin = rng.random() < 0.7
    host.may_doubt = host.may_doubt or not (keeps_data or may_begin)
    faults.crash(host)
    places = host.machine.places
    for directory in dict.fromkeys((places.snapshots, places.logs)):
        for name in host.disk.names(directory):
            is_kept = keeps_epochs if name in {ACCEPTED, CURRENT} else keeps_data
            if not is_kept:
                host.disk.remove(f"{directory}/{name}")
        host.disk.sync_directory(directory)
    if may_begin and not keeps_data:
        _put(host, places.marker_directory, INITIALIZE, b"")
    world.checker.servers.renewed(host, keeps_epochs=keeps_epochs, keeps_data=keeps_data)


# What disks do.


def _fail_disk(faults: Faults) -> None:
    """A disk answers with errors, so that the process ends; the next one finds a disk that works."""
    host = faults.some_host()
    setattr(host.disk, faults.rng.choice(DISK_FAILURES), True)

    def repair() -> None:
        faults.mend_disk(host)
        faults.restart(host)

    faults.later(3.0, repair)


def _flip_bits(faults: Faults) -> None:
    """A byte of a snapshot, or of a log that others follow, is another one."""
    host, rng = victim(faults), faults.rng
    if host is None:
        return
    disk, places = host.disk, host.machine.places
    paths = [f"{places.snapshots}/{name}" for _, name in names.snapshots(disk.names(places.snapshots))]
    paths += [reader.path for reader in _readers(host)[:-1]]
    paths = [path for path in paths if disk.data_bytes(path)]
    if paths:
        path = rng.choice(paths)
        position = rng.randrange(disk.data_bytes(path))
        (byte,) = disk.read(path, position, 1)
        _write(host, path, position, bytes([byte ^ rng.randrange(1, 256)]))


def _grow_length(faults: Faults) -> None:
    """The length of a record is too great, so that the file seems to end in it; others stand behind it."""
    host = victim(faults)
    newest = _newest(host) if host is not None else None
    offsets = [offset for _, offset, _ in newest] if newest is not None else []
    if host is not None and newest is not None and len(offsets) > 1:
        offset = faults.rng.choice(offsets[:-1])
        checksum, _ = RECORD_HEAD.unpack(host.disk.read(newest.path, offset, RECORD_HEAD.size))
        _write(host, newest.path, offset, RECORD_HEAD.pack(checksum, WRONG_BYTES))


def _set_epoch_back(faults: Faults) -> None:
    """The accepted epoch is older than the current one shows.

    Not the other way round: a current epoch that is too old passes for one that was about to be written.
    """
    host = victim(faults)
    if host is None:
        return
    directory = host.machine.places.snapshots
    if known_epoch(host.disk, directory, CURRENT) > 0:
        replace(host.disk, directory, ACCEPTED, b"0")


LEFTOVERS: dict[str, Callable[[Faults], None]] = {
    "repeated txns": _repeat_txns,
    "torn old log": _tear_old_log,
    "stray files": _leave_strays,
    "trusted data": _trust,
    "trusted tail": _trust_tail,
    "lone snapshot": _leave_lone_snapshot,
    "trust in nothing": _trust_nothing,
    "renewed observer": _renew_observer,
    "failing disk": _fail_disk,
    "flipped bits": _flip_bits,
    "wrong length": _grow_length,
    "old epoch": _set_epoch_back,
}
