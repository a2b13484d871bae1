"""A KDC of Debian's krb5-kdc in a folder, on loopback, with the principals that the tests need."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

from tests.integration.processes import eventually, free_port

REALM = "PYZK.TEST"
SERVICE = f"zookeeper/localhost@{REALM}"
CLIENT = f"bob@{REALM}"
MEMBER = f"zkquorum/localhost@{REALM}"
STRANGER = f"zkquorum/elsewhere@{REALM}"
PROGRAMS = ("krb5kdc", "kadmin.local", "kdb5_util", "kinit")
KRB5_CONF = """\
[libdefaults]
    default_realm = {realm}
    dns_lookup_realm = false
    dns_lookup_kdc = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
[realms]
    {realm} = {{
        kdc = 127.0.0.1:{port}
    }}
"""
KDC_CONF = """\
[realms]
    {realm} = {{
        database_name = {folder}/principals
        key_stash_file = {folder}/stash
        acl_file = {folder}/acl
        kdc_listen = 127.0.0.1:{port}
        kdc_tcp_listen = 127.0.0.1:{port}
    }}
"""


def program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def is_installed() -> bool:
    return all(program(name) for name in PROGRAMS)


class Kdc:
    """Runs as long as the `with` block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.krb5_conf = folder / "krb5.conf"
        self.environment = {
            "KRB5_CONFIG": str(self.krb5_conf),
            "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
            "KRB5CCNAME": f"FILE:{folder}/tickets",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        values = {"realm": REALM, "port": self.port, "folder": self.folder}
        self.krb5_conf.write_text(KRB5_CONF.format(**values))
        (self.folder / "kdc.conf").write_text(KDC_CONF.format(**values))
        self.run("kdb5_util", "create", "-s", "-P", "master", "-r", REALM)
        for principal in (SERVICE, CLIENT, MEMBER, STRANGER):
            self.run("kadmin.local", "-q", f"addprinc -randkey {principal}")
            self.run("kadmin.local", "-q", f"ktadd -k {self.keytab(principal)} {principal}")
        command = [str(program("krb5kdc")), "-n"]
        with (self.folder / "kdc.log").open("wb") as log:
            self._process = subprocess.Popen(command, env={**os.environ, **self.environment}, stdout=log, stderr=log)
        eventually(self._answers, "the KDC gives out tickets")
        return self

    def keytab(self, principal: str) -> Path:
        return self.folder / f"{principal.partition('@')[0].replace('/', '-')}.keytab"

    def run(self, name: str, *arguments: str) -> None:
        environment = {**os.environ, **self.environment}
        subprocess.run([str(program(name)), *arguments], env=environment, check=True, capture_output=True, timeout=60)

    def _answers(self) -> bool:
        try:
            self.kinit()
        except subprocess.CalledProcessError:
            return False
        return True

    def kinit(self) -> None:
        """Get a ticket for the client, into the cache of the environment."""
        self.run("kinit", "-k", "-t", str(self.keytab(CLIENT)), CLIENT)

    def jaas(self) -> str:
        """Sections of a server and a client that both take keytabs."""
        return self.sections(Server=SERVICE, Client=CLIENT)

    def sections(self, **principals: str) -> str:
        """A JAAS file with a keytab for each of these principals, by the names of the sections."""
        module = "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true"
        return "".join(
            f'{section} {{\n    {module}\n    keyTab="{self.keytab(principal)}"\n    principal="{principal}";\n}};\n'
            for section, principal in principals.items()
        )

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
