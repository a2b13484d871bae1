"""Kafka 3.4.0 with zookeeper.set.acl: brokers log in by SASL and keep their znodes to themselves."""

import argparse

from tests.interop.kafka import run as run_release
from tests.interop.kafka_cluster import KAFKA_340_ACL
from tests.interop.results import Result


def run(options: argparse.Namespace) -> list[Result]:
    return run_release(options, KAFKA_340_ACL)
