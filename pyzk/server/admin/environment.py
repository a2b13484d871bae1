"""What the word `envi` tells about the process: Apache's keys in Apache's order, then what Python has besides.

kazoo reads the server's version from here. Source: docs/protocol/operations.md section 1.
"""

import getpass
import os
import platform
import socket
import tempfile
from pathlib import Path

from pyzk import VERSION_WORD

NOT_JAVA = "<NA>"
"""The text that Java prints for a property it does not have."""
JAVA_KEYS = ("version", "vendor", "home", "class.path", "library.path")


def environment() -> dict[str, str]:
    """The keys of Apache 3.9.5 in its order, and python.* after them."""
    free_mb, total_mb = _memory_mb()
    return {
        "zookeeper.version": VERSION_WORD,
        # Differs from Apache: the name as it is set. Asking DNS for the full one could stop the loop for seconds.
        "host.name": socket.gethostname(),
        **{f"java.{key}": NOT_JAVA for key in JAVA_KEYS},
        "java.io.tmpdir": tempfile.gettempdir(),
        "java.compiler": NOT_JAVA,
        "os.name": platform.system(),
        "os.arch": platform.machine(),
        "os.version": platform.release(),
        "user.name": getpass.getuser(),
        "user.home": str(Path.home()),
        "user.dir": str(Path.cwd()),
        "os.memory.free": f"{free_mb}MB",
        "os.memory.max": f"{total_mb}MB",
        "os.memory.total": f"{total_mb}MB",
        "python.version": platform.python_version(),
        "python.implementation": platform.python_implementation(),
    }


def _memory_mb() -> tuple[int, int]:
    """Free and total memory of the machine: unlike a JVM, this process has no limit of its own."""
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    free, total = os.sysconf("SC_AVPHYS_PAGES"), os.sysconf("SC_PHYS_PAGES")
    return free * page_bytes >> 20, total * page_bytes >> 20
