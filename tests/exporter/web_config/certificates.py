# SPDX-License-Identifier: GPL-2.0-only
"""Certificates for tests, made by the openssl command."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """Issues certificates into its folder."""

    folder: Path
    own: Issued

    def issue(self, name: str, alternative: str = "DNS:localhost,IP:127.0.0.1") -> Issued:
        """A certificate of this authority for these names."""
        return _certificate(
            self.folder, name, "-addext", f"subjectAltName={alternative}",
            "-CA", str(self.own.certificate), "-CAkey", str(self.own.key),
        )  # fmt: skip

    def client(self, issued: Issued | None = None) -> ssl.SSLContext:
        """A client that trusts this authority, with a certificate if one is given."""
        context = ssl.create_default_context(cafile=str(self.own.certificate))
        if issued:
            context.load_cert_chain(issued.certificate, issued.key)
        return context


def authority(folder: Path, name: str = "authority") -> Authority:
    """A new authority that keeps its files in ``folder``."""
    return Authority(folder, _certificate(folder, name))


def _certificate(folder: Path, name: str, *arguments: str) -> Issued:
    made = Issued(folder / f"{name}.pem", folder / f"{name}.key")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", str(made.key), "-out", str(made.certificate), *arguments,
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return made
