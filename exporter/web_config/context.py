# SPDX-License-Identifier: GPL-2.0-only
"""From ``tls_server_config`` to a context of the ssl module."""

import ssl
from pathlib import Path

from fdscope.exporter.settings import strict
from fdscope.exporter.settings.strict import ConfigError
from fdscope.exporter.web_config.tls import Pem, TlsSettings


def context(settings: TlsSettings) -> ssl.SSLContext:
    """A server's context; ConfigError for certificates and keys that cannot be used."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        made.minimum_version, made.maximum_version = settings.minimum, settings.maximum
        made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        if not settings.server_preference:
            made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        if settings.ciphers:
            made.set_ciphers(":".join(settings.ciphers))
        if settings.curve:
            made.set_ecdh_curve(settings.curve)
    except (OSError, ValueError) as error:  # forbidden by OpenSSL's settings on this host
        raise ConfigError(f"OpenSSL refuses these versions, ciphers or curves: {error}") from error
    with settings.certificate.path() as certificate, settings.key.path() as key:
        try:
            # A key with a passphrase: refuse instead of asking on the terminal.
            made.load_cert_chain(certificate, key, password=lambda: b"")
        except (OSError, ValueError) as error:
            parts = (settings.certificate, settings.key)
            raise _unusable("certificate and key", parts, error) from error
    if settings.client_authority:
        with settings.client_authority.path() as authority:
            try:
                made.load_verify_locations(authority)
            except (OSError, ValueError) as error:
                raise _unusable("client_ca", (settings.client_authority,), error) from error
    made.verify_mode = settings.client_verification
    return made


def _unusable(what: str, parts: tuple[Pem, ...], error: OSError | ValueError) -> ConfigError:
    files: list[Path] = [part.file for part in parts if part.file]
    names = f" ({', '.join(map(strict.shown_path, files))})" if files else ""
    why = getattr(error, "reason", None) or str(error) or "not understood"
    return ConfigError(
        f"{what}{names} cannot be used: {why}. They must be PEM, belong together, and have no"
        " passphrase"
    )
