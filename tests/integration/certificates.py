"""Certificates made for a test by openssl: authorities, and what they sign, with the key beside it."""

import pathlib
import subprocess

OPENSSL_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")


class Authority:
    def __init__(self, folder: pathlib.Path, name: str = "authority"):
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate, self._key = folder / f"{name}.crt", folder / f"{name}.key"
        subprocess.run(["openssl", "req", "-x509", *OPENSSL_KEY, "-keyout", self._key, "-out", self.certificate, "-days", "2",
                        "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE"], check=True, capture_output=True)

    def sign(self, folder: pathlib.Path, names: str = "DNS:localhost,IP:127.0.0.1", days: int = 2, beside: bytes = b"") -> pathlib.Path:
        """Writes tls.crt, tls.key and ca.crt into `folder`, as a mounted Secret has them; `days` < 0: expired; `beside`: further
        authorities in ca.crt."""
        folder.mkdir(parents=True, exist_ok=True)
        request, extensions = folder / "request", folder / "extensions"
        new_key, new_certificate = folder / "tls.key.new", folder / "tls.crt.new"
        subprocess.run(["openssl", "req", "-new", *OPENSSL_KEY, "-keyout", new_key, "-out", request, "-subj", "/CN=test"],
                       check=True, capture_output=True)
        extensions.write_text(f"subjectAltName={names}\n")
        subprocess.run(["openssl", "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-out", new_certificate,
                        "-days", str(days), "-extfile", extensions], check=True, capture_output=True)
        (folder / "ca.crt").write_bytes(self.certificate.read_bytes() + beside)
        new_key.rename(folder / "tls.key")
        new_certificate.rename(folder / "tls.crt")
        return folder


def flags(prefix: str, folder: pathlib.Path) -> tuple[str, ...]:
    return (f"--{prefix}-certfile", f"{folder}/tls.crt", f"--{prefix}-keyfile", f"{folder}/tls.key", f"--{prefix}-ca-certs",
            f"{folder}/ca.crt")
