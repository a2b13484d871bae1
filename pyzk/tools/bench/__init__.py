"""`pyzk bench`: a load generator over pyzk's client, for those who size an ensemble of their own, pyzk's or Apache's.

    options     the command line             territory   the subtree in which everything happens, and its end
    command     the run from end to end      workloads   a table: what one operation of each kind is
    access      clients: TLS, SASL, digest   load        connections, workers, and when operations are due
    histogram   latencies in bounded memory  jobs        the same load from several processes
    tally       what has been counted        servers     who is asked: srvr
    view        tables, bars and JSON        loop        which event loop

`histogram` and `tally` are pure: moments come in as arguments.
"""
