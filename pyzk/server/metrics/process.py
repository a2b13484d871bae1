"""What operating system and interpreter tell of the process, also under the names by which dashboards know a Java one.

`jvm_memory_bytes_used` and `_max` with area heap are the resident size and what may be had of memory: alerts divide the
one by the other.
"""

import gc
import os
import platform
import resource
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily

from pyzk.service.counters import Distribution

STATUS = Path("/proc/self/status")
STAT = Path("/proc/self/stat")
DESCRIPTORS = Path("/proc/self/fd")
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
BOOT_TIME = Path("/proc/stat")
KIB = 1024
START_TICKS_FIELD = 19
"""Of /proc/self/stat, counted behind the name in brackets."""


class GarbageWatch:
    """Times the collections of garbage, which stop everything; `stop` lets go of the interpreter again."""

    def __init__(self, pauses_ms: Distribution) -> None:
        self.pauses_ms = pauses_ms
        self.seconds = 0.0
        self.count = 0
        self._began_at = 0.0
        gc.callbacks.append(self._see)

    def _see(self, phase: str, info: dict[str, int]) -> None:  # noqa: ARG002 - as gc calls it
        now = time.perf_counter()
        if phase == "start":
            self._began_at = now
        elif self._began_at:
            took = now - self._began_at
            self.seconds += took
            self.count += 1
            self.pauses_ms.add(int(took * 1000))

    def stop(self) -> None:
        """See no more."""
        gc.callbacks.remove(self._see)


def process_metrics() -> Iterator[Metric]:
    """The process_* names, as far as the system tells them."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    yield _counter("process_cpu_seconds_total", "seconds of processor time", usage.ru_utime + usage.ru_stime)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield _gauge("process_max_fds", "files that may be open", soft)
    if DESCRIPTORS.is_dir():
        yield _gauge("process_open_fds", "open files", sum(1 for _ in DESCRIPTORS.iterdir()))
    memory = memory_bytes()
    for name, key in (("virtual", "VmSize"), ("resident", "VmRSS")):
        if key in memory:
            yield _gauge(f"process_{name}_memory_bytes", f"{name} memory", memory[key])
    started = started_at()
    if started is not None:
        yield _gauge("process_start_time_seconds", "when the process began, seconds since 1970", started)


def java_metrics(garbage: GarbageWatch) -> Iterator[Metric]:
    """What stands for a Java machine where dashboards look for one (exportJvmInfo)."""
    memory = memory_bytes()
    used = GaugeMetricFamily("jvm_memory_bytes_used", "resident memory of the process", labels=["area"])
    used.add_metric(["heap"], memory.get("VmRSS", 0))
    yield used
    most = GaugeMetricFamily("jvm_memory_bytes_max", "memory that the process may have", labels=["area"])
    most.add_metric(["heap"], memory_limit_bytes())
    yield most
    yield _gauge("jvm_threads_current", "threads of the process", threading.active_count())
    collections = SummaryMetricFamily("jvm_gc_collection_seconds", "collections of garbage", labels=["gc"])
    collections.add_metric([platform.python_implementation()], garbage.count, garbage.seconds)
    yield collections
    information = GaugeMetricFamily("jvm_info", "there is no Java machine", labels=["version", "vendor", "runtime"])
    information.add_metric([platform.python_version(), "pyzk", platform.python_implementation()], 1)
    yield information


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value)


def _counter(name: str, help_text: str, value: float) -> Metric:
    return CounterMetricFamily(name.removesuffix("_total"), help_text, value)


def memory_bytes() -> dict[str, int]:
    """VmSize, VmRSS and their like, in bytes; empty where the system does not tell."""
    found: dict[str, int] = {}
    if STATUS.is_file():
        for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            key, _, rest = line.partition(":")
            words = rest.split()
            if key.startswith("Vm") and words and words[0].isdigit():
                found[key] = int(words[0]) * KIB
    return found


def memory_limit_bytes() -> int:
    """Of the container, or else of the machine."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if CGROUP_LIMIT.is_file():
        text = CGROUP_LIMIT.read_text(encoding="ascii").strip()
        if text.isdigit():
            return min(int(text), machine)
    return machine


def started_at() -> float | None:
    """Seconds since 1970; None where the system does not tell."""
    if not (STAT.is_file() and BOOT_TIME.is_file()):
        return None
    ticks = int(STAT.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[START_TICKS_FIELD])
    lines = BOOT_TIME.read_text(encoding="ascii").splitlines()
    boot: Callable[[str], bool] = lambda line: line.startswith("btime ")  # noqa: E731
    booted = next((line.split()[1] for line in filter(boot, lines)), None)
    return None if booted is None else int(booted) + ticks / os.sysconf("SC_CLK_TCK")
