"""`pyzk-cli`: the commands of zkCli.sh with its options and output, over pyzk's own client.

`main` reads the command line, `interpreter` a line, `options` the options of a command as commons-cli does, `table`
lists the commands, which live in `reading`, `writing`, `quotas` and `watching`. `session` is the connection and
`interactive` the prompt. Source: docs/protocol/operations.md section 6; docs/differences.md says what differs.
"""
