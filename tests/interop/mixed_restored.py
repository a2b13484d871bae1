"""A case of tests/interop/mixed.py: a snapshot is given to an ensemble whose leader is ours."""

from tests.integration.admin import SUPER, WITH_SUPER, fetch
from tests.integration.processes import free_port, release
from tests.interop.mixed_cases import Arena, expect


def restored(arena: Arena, leads: str, learns: str) -> list[str]:
    """A leader of ours is given an older state of everything; all servers have it, and go on from there."""
    port = free_port()
    with arena.ensemble([learns, learns, leads]) as ensemble:
        lines = {
            "admin.enableServer": "true",
            "admin.serverPort": port,
            "admin.rateLimiterIntervalInMS": 0,
            **WITH_SUPER,
        }
        path = ensemble[3].config_path
        path.write_text(path.read_text() + "".join(f"{key}={value}\n" for key, value in lines.items()))
        ensemble.start(first=3)
        with ensemble.talking() as client:
            client.create("/before", b"1")
            status, snapshot = fetch(port, "/commands/snapshot", headers=SUPER)
            broken = expect(status == 200, f"the leader sends a snapshot, not {status}")
            client.set("/before", b"2")
            client.create("/later")
            for number in (1, 2):
                status, answer = fetch(port, "/commands/restore", snapshot, SUPER)
                broken += expect(status == 200, f"restore {number} ends with 200, not {status} {answer!r}")
                client.retry(client.create, f"/after-{number}")
            broken += expect(client.get("/before")[0] == b"1", "the data are the old ones")
        release(port)
        broken += expect(ensemble.leader() == 3, "it leads again")
        for sid, tree in ensemble.trees().items():
            found = {path for path in tree if path.count("/") == 1} - {"/", "/zookeeper"}
            broken += expect(found == {"/before", "/after-2"}, f"server {sid} has what was restored, not {found}")
        return broken + ensemble.unlike()
