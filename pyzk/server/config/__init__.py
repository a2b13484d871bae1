"""The configuration of a server: zoo.cfg as Apache's server reads it, and what an operator should be told about it.

`syntax.py` reads the text, `kinds.py` says what a setting is, `fields_*.py` declare them, `settings.py` has `Config`
and the table of all keys, `load.py` puts it together. The server list is parsed in `pyzk.zab.membership`.
"""

from pyzk.server.config.load import find_config, load_config
from pyzk.server.config.settings import Config
from pyzk.zab.membership import Membership
from pyzk.zab.servers import PeerAddress, ServerSpec

__all__ = ["Config", "Membership", "PeerAddress", "ServerSpec", "find_config", "load_config"]
