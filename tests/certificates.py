"""Certificates for tests, made by the openssl program in a folder of the test's own."""
import os
import pathlib
import shutil
import subprocess

import harness


PAST = ("20200101000000Z", "20200201000000Z")
FUTURE = ("20980101000000Z", "20990101000000Z")
LOCAL = "DNS:localhost,IP:127.0.0.1"


def local():
    """An authority, and `server` signed by it for this machine."""
    return Certificates().leaf("server", LOCAL)


class Certificates:
    """An authority (ca.pem, ca.key) and what it signs. Names are files without .pem and .key."""

    def __init__(self):
        harness.need("openssl")
        self.folder = harness.folder()
        self.own("ca", "DNS:nobody.invalid")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def key(self, name, kind="ec"):
        options = ["-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["-pkeyopt", "rsa_keygen_bits:2048"]
        self.openssl("genpkey", "-algorithm", "EC" if kind == "ec" else "RSA", *options, "-out", f"{name}.key")

    def own(self, name, names):
        """Signed by itself, and an authority."""
        self.key(name)
        self.openssl("req", "-x509", "-key", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj", f"/CN={name}",
                     "-addext", f"subjectAltName={names}")
        return self

    def leaf(self, name, names, dates=None, kind="ec", by="ca"):
        """Signed by the authority; valid for two days from now when no `dates` are given."""
        self.key(name, kind)
        self.openssl("req", "-new", "-key", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={names}\n" if names else "")
        if dates:
            # `openssl x509` of version 3.0 sets no dates; `openssl ca` does.
            (self.folder / "ca.conf").write_text(
                "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\nnew_certs_dir=.\npolicy=p\ndefault_md=sha256\n"
                "unique_subject=no\n[p]\ncommonName=supplied\n")
            (self.folder / "index").write_text("")
            (self.folder / "serial").write_text("1000\n")
            self.openssl("ca", "-batch", "-config", "ca.conf", "-in", f"{name}.csr", "-cert", f"{by}.pem", "-keyfile",
                         f"{by}.key", "-startdate", dates[0], "-enddate", dates[1], "-extfile",
                         f"{name}.ext", "-notext", "-out", f"{name}.pem")
        else:
            self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.pem", "-CAkey", f"{by}.key",
                         "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem")
        return self

    def path(self, file):
        return str(self.folder / file)

    def pair(self, name):
        """As the configuration writes it."""
        return f"cert: {self.path(name)}.pem, key: {self.path(name)}.key"

    def pin(self, name):
        der = subprocess.run(["openssl", "pkey", "-in", self.path(f"{name}.key"), "-pubout", "-outform", "DER"],
                             check=True, capture_output=True).stdout
        digest = subprocess.run(["openssl", "dgst", "-sha256", "-binary"], input=der, check=True, capture_output=True).stdout
        return "sha256/" + subprocess.run(["openssl", "base64", "-A"], input=digest, check=True,
                                          capture_output=True).stdout.decode()

    def text(self, name):
        return pathlib.Path(self.path(f"{name}.pem")).read_text()

    def replace(self, name, by):
        """As certbot does: new files in the old ones' places, the key first."""
        for ending in (".key", ".pem"):
            shutil.copy(self.path(by + ending), self.path(name + ".next"))
            os.rename(self.path(name + ".next"), self.path(name + ending))
