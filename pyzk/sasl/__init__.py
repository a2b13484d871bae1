"""SASL: who is on the other side of a connection, of clients and of other servers alike; pure.

`mechanism` says what an exchange of tokens looks like from outside, `digest_md5` is one, `principals` knows Kerberos
names, and `jaas` reads the files in which operators of Apache's server keep the passwords.
"""
