"""The server's shell: the only asyncio, sockets, real files and real clocks on the server's side.

Nothing is decided here: sockets and files become events for `pyzk.service` and `pyzk.zab`, and their effects become
writes. Start reading at `command.py`; settings are in `config/`, the real disk in `files.py`.
"""
