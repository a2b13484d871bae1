"""TLS of all ports: what a certificate file holds, whom it lets in, and the way from a socket to an encrypted link.

`stores.py` reads PEM, PKCS#12 and Java's JKS; `contexts.py` makes contexts of them and notices when files change;
`listener.py` tells TLS from plain bytes and shakes hands; `names.py` says whose a certificate is.
"""
