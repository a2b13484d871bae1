"""What one server does for its sessions: requests in, replies and watch events out.

Pure: bytes of a connection, committed txns and the time come in as arguments; replies gather in each connection's
outgoing list, requests that must become txns in `submitted`, connections to close in `closing`, and the shell in
`server` carries them on. A connection is an int here. Start with `service`; `proposer` is the leader's half.
Source: docs/protocol/client-protocol.md, docs/protocol/data-model.md sections 5, 7 and 8.
"""
