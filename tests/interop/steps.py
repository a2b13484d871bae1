"""Steps of a system under test: each prints its seconds and its remark, and is one row of the results."""

import time
from collections.abc import Callable

from tests.interop.mixed import GONE_WRONG
from tests.interop.results import FAILED, PASSED, Result


def taken(group: str, title: str, step: Callable[[], str], files: object = "") -> Result:
    """Do one step; what it returns is printed. `files` is where a failure leaves its traces."""
    began = time.monotonic()
    try:
        remark = step()
    except (*GONE_WRONG, StopIteration) as error:
        where = f"\nfiles in {files}" if files else ""
        return Result(group, title, FAILED, f"{type(error).__name__}: {error}{where}")
    print(f"    {time.monotonic() - began:6.1f} s  {title}{': ' if remark else ''}{remark}", flush=True)
    return Result(group, title, PASSED)
