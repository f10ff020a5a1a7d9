# SPDX-License-Identifier: GPL-2.0-only
"""The section ``tls_server_config``."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fdscope.exporter.settings import strict
from fdscope.exporter.settings.strict import ConfigError
from fdscope.exporter.web_config.sections import Section

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1"}
_CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}
_TLS13_CIPHERS = {
    "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
}  # fmt: skip
"""Always on, in Go as here; a list may name them."""


@dataclass(frozen=True, slots=True)
class Pem:
    """Certificates or a key: in a file, or in the configuration itself."""

    file: Path | None
    text: str

    @contextmanager
    def path(self) -> Iterator[Path]:
        """A path to read it from: the ssl module takes no keys from memory.

        Never the file itself, which could have become a FIFO.
        """
        try:
            content = strict.read_bytes(self.file) if self.file else self.text.encode()
        except UnicodeEncodeError as error:
            raise ConfigError("a certificate or key has a surrogate in it") from error
        number = os.memfd_create("pem", os.MFD_CLOEXEC)
        try:
            with open(number, "wb", closefd=False) as memory:
                memory.write(content)
            yield Path(f"/proc/self/fd/{number}")
        finally:
            os.close(number)


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """TLS settings; ``context.context()`` applies them."""

    certificate: Pem
    key: Pem
    client_authority: Pem | None
    client_verification: ssl.VerifyMode
    client_names: frozenset[str]
    """A client needs one of these subject alternative names; empty: any."""
    minimum: ssl.TLSVersion
    maximum: ssl.TLSVersion
    ciphers: tuple[str, ...]
    """Ciphers of TLS 1.2, in OpenSSL's names; empty: Python's."""
    server_preference: bool
    curve: str

    def files(self) -> list[Path]:
        """The files that it depends on."""
        parts = (self.certificate, self.key, self.client_authority)
        return [part.file for part in parts if part and part.file]


def tls_settings(section: Section, folder: Path) -> TlsSettings:
    """Read the section; relative paths start at ``folder``. ConfigError if it cannot be used."""
    certificate, key = _pem(section, "cert", folder), _pem(section, "key", folder)
    if not certificate or not key:
        missing = "key" if certificate else "cert"
        raise ConfigError(f"{section.where}: one of {missing} or {missing}_file is needed")
    authority = _pem(section, "client_ca", folder)
    auth_word = section.text("client_auth_type", "NoClientCert") or "NoClientCert"
    minimum, maximum = (
        _version(section, "min_version", "TLS12"),
        _version(section, "max_version", "TLS13"),
    )
    ciphers = _ciphers(section)
    if ciphers == ():  # only suites of TLS 1.3 are listed
        minimum = ssl.TLSVersion.TLSv1_3
    settings = TlsSettings(
        certificate,
        key,
        authority,
        _client_verification(section, auth_word, authority),
        frozenset(section.texts("client_allowed_sans")),
        minimum,
        maximum,
        ciphers or (),
        section.flag("prefer_server_cipher_suites", True),
        _curve(section),
    )
    section.end()
    if minimum > maximum:
        raise ConfigError(
            f"{section.where}: no TLS version is left between min_version, max_version and what"
            " cipher_suites are for"
        )
    if settings.client_names and settings.client_verification is not ssl.CERT_REQUIRED:
        raise ConfigError(
            f"{section.where}: client_allowed_sans needs"
            " client_auth_type: RequireAndVerifyClientCert"
        )
    return settings


def _pem(section: Section, key: str, folder: Path) -> Pem | None:
    text, file = section.text(key, ""), section.text(f"{key}_file", "")
    if text and file:
        raise ConfigError(f"{section.where}: give {key} or {key}_file, not both")
    return Pem(folder / file if file else None, text) if text or file else None


def _client_verification(section: Section, word: str, authority: Pem | None) -> ssl.VerifyMode:
    if word in ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert"):
        raise ConfigError(
            f"{section.where}: client_auth_type {word} does not check the certificate, and Python"
            " cannot take one unchecked: use RequireAndVerifyClientCert"
        )
    if word not in _CLIENT_AUTH:
        known = ", ".join(_CLIENT_AUTH)
        raise ConfigError(
            f"{section.where}: client_auth_type {strict.shown(word)} is not one of {known}"
        )
    wanted = _CLIENT_AUTH[word]
    if wanted is ssl.CERT_NONE and authority:
        raise ConfigError(
            f"{section.where}: client_ca has no effect without"
            " client_auth_type: RequireAndVerifyClientCert"
        )
    if wanted is not ssl.CERT_NONE and not authority:
        raise ConfigError(
            f"{section.where}: client_auth_type {word} needs client_ca_file, the CA of the clients"
        )
    return wanted


def _version(section: Section, key: str, default: str) -> ssl.TLSVersion:
    word = section.text(key, default)
    if word in ("TLS10", "TLS11"):
        raise ConfigError(f"{section.where}: {key} {word} is broken and not offered: use TLS12")
    if word not in _VERSIONS:
        raise ConfigError(f"{section.where}: {key} {strict.shown(word)} is not one of TLS12, TLS13")
    return _VERSIONS[word]


def _ciphers(section: Section) -> tuple[str, ...] | None:
    """The ciphers for TLS 1.2; None if the list is left out."""
    words = section.texts("cipher_suites")
    for word in words:
        if word not in _CIPHERS and word not in _TLS13_CIPHERS:
            known = ", ".join((*_CIPHERS, *sorted(_TLS13_CIPHERS)))
            raise ConfigError(
                f"{section.where}: unknown cipher suite {strict.shown(word)}; known: {known}"
            )
    return tuple(_CIPHERS[word] for word in words if word in _CIPHERS) if words else None


def _curve(section: Section) -> str:
    words = section.texts("curve_preferences")
    if len(words) > 1 or any(word not in _CURVES for word in words):
        known = ", ".join(_CURVES)
        raise ConfigError(
            f"{section.where}: Python can limit curve_preferences to one of {known}; leave it out"
            " for OpenSSL's own list"
        )
    return _CURVES[words[0]] if words else ""
