"""Servers that authenticate themselves to each other, on real processes; mixed_cases has Apache's among them."""

import socket
import struct
from pathlib import Path
from random import Random

from tests.integration.ensemble import Ensemble
from tests.integration.processes import eventually
from tests.interop import mixed_cases as cases
from tests.interop.mixed_cases import Arena, give_password

REQUIRED = cases.SASL_STEPS[-1]


def test_a_password_is_needed_to_be_a_member(tmp_path: Path, rng: Random) -> None:
    assert cases.quorum_sasl(Arena(tmp_path, rng.randrange(2**32)), "pyzk", "pyzk") == []


def test_authentication_rolls_in_and_out_under_load(tmp_path: Path, rng: Random) -> None:
    assert cases.quorum_sasl_rolls_in(Arena(tmp_path, rng.randrange(2**32)), "pyzk", "pyzk") == []


def test_a_password_in_zoo_cfg_needs_no_jaas_file(tmp_path: Path) -> None:
    keys = {"pyzk.quorum.sasl.user": "zk", "pyzk.quorum.sasl.password": "secret"}
    with Ensemble(tmp_path, ["pyzk"] * 3, {**REQUIRED, **keys}) as ensemble:
        ensemble.start()
        assert sorted(member.mode for member in ensemble.members.values()) == ["follower", "follower", "leader"]


def test_strangers_on_the_peer_ports_do_no_harm(tmp_path: Path, rng: Random) -> None:
    with Ensemble(tmp_path, ["pyzk"] * 3, REQUIRED) as ensemble:
        for member in ensemble.members.values():
            give_password(member, "secret")
        ensemble.start()
        leader = ensemble[ensemble.leader()]
        hello = struct.pack(">qqi", -65536, 9, 14) + b"127.0.0.1:3888"
        packets = [
            b"",
            hello,
            bytes.fromhex("5f2435013501edcc"),
            struct.pack(">iq", 11, 9) + bytes(40),
            rng.randbytes(200),
        ]
        for port in (leader.quorum_port, leader.election_port):
            for packet in packets:
                with socket.create_connection(("127.0.0.1", port), 10) as stranger:
                    stranger.sendall(packet)
                    if packet:
                        stranger.shutdown(socket.SHUT_WR)
                        # Whatever it says, it is not answered by a server that leads.
                        assert b"\0\0\0\x11" not in stranger.recv(1000)
        eventually(lambda: leader.logged().count("peer_link_refused") >= len(packets), "strangers are refused")
        assert leader.mode == "leader"
        with ensemble.talking() as client:
            client.create("/after", b"")
        assert all("Traceback" not in member.logged() for member in ensemble.members.values())
