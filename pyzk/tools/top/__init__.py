"""`pyzk top`: servers, clients and hot paths, from the four-letter words of several servers, Apache's and pyzk's.

`words` asks and reads the answers, `sample` turns two samples into rates, `view` draws, `command` is the command line.
Source: docs/protocol/operations.md section 1.
"""
