"""A ZooKeeper server in Python. ARCHITECTURE.md has the tour in reading order."""

__version__ = "0.1.0"
