"""Kafka 3.9.2, the last release with a ZooKeeper mode, with its znodes below /kafka: the steps of kafka.py."""

import argparse

from tests.interop.kafka import run as run_release
from tests.interop.kafka_cluster import KAFKA_392
from tests.interop.results import Result


def run(options: argparse.Namespace) -> list[Result]:
    return run_release(options, KAFKA_392)
