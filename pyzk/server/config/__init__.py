"""The configuration of a server: zoo.cfg as Apache's server reads it, and what an operator should be told about it.

`syntax.py` reads the text, `kinds.py` says what a setting is, `fields_*.py` declare them, `settings.py` has `Config`
and the table of all keys, `servers.py` and `membership.py` the server list, `load.py` puts it together.
"""

from pyzk.server.config.load import find_config, load_config
from pyzk.server.config.membership import Membership
from pyzk.server.config.servers import PeerAddress, ServerSpec
from pyzk.server.config.settings import Config

__all__ = ["Config", "Membership", "PeerAddress", "ServerSpec", "find_config", "load_config"]
