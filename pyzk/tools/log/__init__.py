"""`pyzk log`: dump and filter transaction logs, mend and chop them.

`command` is the command line, `entries` one txn for people and for JSON, `filters` which of them are shown, `toolkit`
Apache's TxnLogToolkit with its words and file names. Source: docs/protocol/operations.md section 7.
"""
