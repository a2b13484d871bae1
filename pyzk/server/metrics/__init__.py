"""What a server tells about itself in numbers: one table of names, read by mntr, the admin server and Prometheus.

Nothing here costs anything per request: the core counts in plain integers, and they are read when somebody asks.
Source: docs/protocol/operations.md sections 1.6 and 3.
"""
