"""SIGHUP: the configuration is read again, and what can be changed while the server runs is changed.

Which settings these are is said in `pyzk.server.config.reloadable`; of all others that differ the log says that they
need a restart. A configuration that cannot be used changes nothing.
"""

import os
from collections.abc import Callable
from operator import attrgetter

import structlog

from pyzk.errors import ConfigError
from pyzk.server.base import BaseServer
from pyzk.server.config import Config, load_config
from pyzk.server.config.reloadable import RELOADABLE
from pyzk.server.config.settings import all_settings

log = structlog.get_logger()

KEYS = {row.field: row.name for row in all_settings() if row.field}


def reload(server: BaseServer, set_up_log: Callable[[Config], None]) -> None:
    """Read the configuration of a running server again.

    Args:
        server: serves.
        set_up_log: called with the configuration that counts from now on.
    """
    current = server.config
    try:
        config, warnings = load_config(current.path or None, os.environ)
    except ConfigError as error:
        log.error("reload_refused", error=str(error))  # noqa: TRY400 - its message says it all
        return
    for warning in warnings:
        log.warning("config_warning", warning=warning)
    changed = {name for name in KEYS if attrgetter(name)(config) != attrgetter(name)(current)}
    taken = {name: getattr(config, name) for name in changed & RELOADABLE}
    # The sources of the others would speak of values that do not count.
    sources = {name: source for name, source in current.sources.items() if name not in taken}
    sources |= {name: source for name, source in config.sources.items() if name in taken}
    try:
        server.take_settings(current.evolve(**taken, jaas=config.jaas, sources=sources))
    except ConfigError as error:
        log.error("reload_refused", error=str(error))  # noqa: TRY400 - its message says it all
        return
    set_up_log(server.config)
    if config.jaas != current.jaas:
        changed.add("jaas_file")  # what it says counts, whatever its name
    log.info("reloaded", changed=_keys(changed & RELOADABLE), restart_needed=_keys(changed - RELOADABLE))


def _keys(fields: set[str]) -> list[str]:
    return sorted(KEYS[field] for field in fields)
