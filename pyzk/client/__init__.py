"""The client side of the protocol.

`aio.Client` is what people use. Beneath it lies `session.Session`, a pure machine without sockets or clocks: read
`effects.py` (what it asks for), then `session.py`; `watches.py`, `chroot.py` and `hosts.py` are its three tables.
This file imports nothing, so that the simulator gets the machine without asyncio.
"""
