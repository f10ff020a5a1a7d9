# SPDX-License-Identifier: GPL-2.0-only
"""The file of --web.config.file: its keys, and the message for each mistake."""

import asyncio
import base64
import re
import ssl
from pathlib import Path

import bcrypt
import pytest

from fdscope.exporter.settings.strict import ConfigError
from fdscope.exporter.web_config import model, protection
from fdscope.exporter.web_config.context import context
from fdscope.exporter.web_config.model import RateLimit, WebConfig
from fdscope.exporter.web_config.passwords import Passwords
from fdscope.exporter.web_config.protection import Bucket, Protection
from tests.exporter.web_config.certificates import Authority, authority

HASH = "$2b$04$" + "a" * 53


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = authority(tmp_path_factory.mktemp("certificates"))
    made.issue("server")
    authority(made.folder, "stranger")
    return made


def parse(folder: Path, text: str) -> WebConfig:
    (folder / "web.yml").write_text(text)
    return model.parse(folder / "web.yml")


def tls(folder: Path, *lines: str) -> ssl.SSLContext:
    """The context for the server's certificate and these lines."""
    text = "\n  ".join(("tls_server_config:", "cert_file: server.pem", "key_file: server.key"))
    settings = parse(folder, "\n  ".join((text, *lines))).tls
    assert settings
    return context(settings)


def test_everything_that_is_understood(issuer: Authority) -> None:
    text = f"""
tls_server_config:
  cert_file: server.pem
  key_file: {issuer.folder}/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: authority.pem
  client_allowed_sans: [prometheus.example]
  min_version: TLS13
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP384]
http_server_config:
  http2: true
  headers:
    X-Frame-Options: deny
    Strict-Transport-Security: max-age=60
basic_auth_users:
  alice: {HASH}
rate_limit:
  interval: 500ms
  burst: 3
"""
    config = parse(issuer.folder, text)
    assert config.tls
    assert config.tls.files() == [
        issuer.folder / name for name in ("server.pem", "server.key", "authority.pem")
    ]
    assert config.tls.client_names == {"prometheus.example"}
    assert config.headers == {"X-Frame-Options": "deny", "Strict-Transport-Security": "max-age=60"}
    assert config.users == {"alice": HASH.encode()}
    assert config.rate_limit == RateLimit(0.5, 3)
    made = context(config.tls)
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.minimum_version is ssl.TLSVersion.TLSv1_3


def test_cipher_suites(issuer: Authority) -> None:
    made = tls(issuer.folder, "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]")
    names = [entry["name"] for entry in made.get_ciphers() if entry["protocol"] != "TLSv1.3"]
    assert names == ["ECDHE-ECDSA-AES256-GCM-SHA384"]
    assert made.minimum_version is ssl.TLSVersion.TLSv1_2
    only = tls(issuer.folder, "cipher_suites: [TLS_AES_128_GCM_SHA256]")
    assert only.minimum_version is ssl.TLSVersion.TLSv1_3


def test_certificate_and_key_in_the_file_itself(issuer: Authority) -> None:
    server, own = issuer.folder / "server", issuer.own.certificate

    def block(key: str, path: Path) -> str:
        return f"  {key}: |\n" + "".join(f"    {line}\n" for line in path.read_text().splitlines())

    text = block("cert", server.with_suffix(".pem")) + block("key", server.with_suffix(".key"))
    text += block("client_ca", own) + "  client_auth_type: VerifyClientCertIfGiven\n"
    config = parse(issuer.folder, f"tls_server_config:\n{text}")
    assert config.tls
    assert config.tls.files() == []
    made = context(config.tls)
    assert made.verify_mode is ssl.CERT_OPTIONAL
    assert len(made.get_ca_certs()) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty and would protect nothing"),
        ("# nothing\n", "is empty and would protect nothing"),
        ("x", "must be a mapping"),
        ("a: [", r"not valid YAML: line 1, column 5"),
        ("a: !!python/object:os.system x", "not valid YAML"),
        ("basic_auth_user: {}", "unknown key basic_auth_user; did you mean basic_auth_users"),
        ("x: 1", "unknown key x; known: tls_server_config, http_server_config"),
        ("rate_limit: {}\nrate_limit: {}", "key 'rate_limit' twice"),
        ("tls_server_config:", "tls_server_config must be a mapping"),
        ("tls_server_config: {}", "one of cert or cert_file is needed"),
        ("tls_server_config: {cert_file: a}", "one of key or key_file is needed"),
        ("tls_server_config: {key_file: a}", "one of cert or cert_file is needed"),
        ("tls_server_config: {cert_file: a, cert: b, key_file: c}", "cert or cert_file, not both"),
        ("tls_server_config: {cert_file: [a]}", "cert_file must be a string, not a list"),
        ("basic_auth_users:", "basic_auth_users must be a mapping"),
        ("basic_auth_users: {}", "names nobody"),
        ("basic_auth_users: {alice: secret}", "password of 'alice' is not a bcrypt hash"),
        (f"basic_auth_users: {{[1]: '{HASH}'}}", "a key is a list, not a string"),
        (f"basic_auth_users: {{'a:b': '{HASH}'}}", "user name must be text without a colon"),
        (f"basic_auth_users: {{a: '{HASH}', a: '{HASH}'}}", "key 'a' twice"),
        ("http_server_config: {headers: {Server: x}}", "unknown key Server"),
        ("http_server_config: {headers: {X-Frame-Options: x}}", "must be deny or sameorigin"),
        ('http_server_config: {headers: {X-XSS-Protection: "a\\nb"}}', "must be one line"),
        ("http_server_config: {http2: 1}", "http2 must be true or false"),
        ("rate_limit: {interval: 1}", "interval must be a time with its unit"),
        ("rate_limit: {interval: 1y}", "interval must be a time with its unit"),
        ("rate_limit: {interval: 1s}", "burst must be 1 or more"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse(tmp_path, text)
    assert "secret" not in str(caught.value)
    assert str(tmp_path / "web.yml") in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("client_auth_type: RequireAnyClientCert", "Python cannot take one unchecked"),
        ("client_auth_type: RequestClientCert", "Python cannot take one unchecked"),
        ("client_auth_type: Never", "'Never' is not one of NoClientCert"),
        ("client_auth_type: RequireAndVerifyClientCert", "needs client_ca_file"),
        ("client_ca_file: authority.pem", "client_ca has no effect without"),
        ("client_allowed_sans: [a]", "client_allowed_sans needs client_auth_type"),
        ("client_allowed_sans: [[1]]", "must be a list of strings"),
        ("min_version: TLS10", "TLS10 is broken and not offered"),
        ("max_version: SSL3", "'SSL3' is not one of TLS12, TLS13"),
        ("min_version: TLS13\n  max_version: TLS12", "no TLS version is left"),
        ("max_version: TLS12\n  cipher_suites: [TLS_AES_128_GCM_SHA256]", "no TLS version is left"),
        ("cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]", "unknown cipher suite 'TLS_RSA_WITH_RC4"),
        ("curve_preferences: [X25519]", "limit curve_preferences to one of CurveP256"),
        ("curve_preferences: [CurveP256, CurveP384]", "limit curve_preferences to one"),
        ("ciphers: []", "unknown key ciphers; did you mean"),
    ],
)
def test_tls_that_cannot_be_honoured(issuer: Authority, line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tls(issuer.folder, line)


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        ("none.pem", "server.key", "cannot read .*none.pem: No such file"),
        ("server.pem", "none.key", "cannot read .*none.key: No such file"),
        ("server.pem", "stranger.key", "cannot be used: KEY_VALUES_MISMATCH"),
        ("server.key", "server.key", "cannot be used: "),
        ("server.pem", "locked.key", "cannot be used: .*no passphrase"),
    ],
)
def test_files_that_cannot_be_used(
    issuer: Authority, certificate: str, key: str, message: str
) -> None:
    locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    (issuer.folder / "locked.key").write_text(locked)
    text = f"tls_server_config: {{cert_file: {certificate}, key_file: {key}}}"
    settings = parse(issuer.folder, text).tls
    assert settings
    with pytest.raises(ConfigError, match=message):
        context(settings)


def test_a_client_authority_that_is_none(issuer: Authority) -> None:
    (issuer.folder / "empty.pem").touch()
    lines = ("client_auth_type: RequireAndVerifyClientCert", "client_ca_file: empty.pem")
    with pytest.raises(ConfigError, match=re.escape(f"client_ca ({issuer.folder}/empty.pem)")):
        tls(issuer.folder, *lines)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*none\.yml: No such file"):
        Protection(tmp_path / "none.yml")
    assert Protection(None).current() is protection.OPEN


def test_it_is_read_again_when_it_changes(issuer: Authority) -> None:
    file = issuer.folder / "changing.yml"
    file.write_text(f"basic_auth_users: {{alice: '{HASH}'}}")
    followed = Protection(file)
    first = followed.current()
    assert followed.current() is first
    file.write_text(f"basic_auth_users: {{bob: '{HASH}'}}")
    assert list(followed.current().config.users) == ["bob"]
    for wrong in ("", "x", "http_server_config: {}"):
        file.write_text(wrong)
        with pytest.raises(ConfigError):
            followed.current()
    file.unlink()
    with pytest.raises(ConfigError, match="cannot read"):
        followed.current()
    file.write_text(f"basic_auth_users: {{carol: '{HASH}'}}")
    assert list(followed.current().config.users) == ["carol"]


def test_protection_is_not_taken_away_while_it_runs(issuer: Authority) -> None:
    """A file that somebody is writing can be valid YAML without its end."""
    file = issuer.folder / "weaker.yml"
    section = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"
    users = f"basic_auth_users: {{alice: '{HASH}'}}\n"
    file.write_text(section + users)
    followed = Protection(file)
    file.write_text(section)
    with pytest.raises(ConfigError, match=r"has lost basic_auth_users: .*restart"):
        followed.current()
    file.write_text(users)
    with pytest.raises(ConfigError, match="has lost tls_server_config"):
        followed.current()
    file.write_text(section + users)
    assert followed.current().tls


def test_a_bucket_admits_its_burst_and_then_one_an_interval() -> None:
    bucket = Bucket(RateLimit(1000.0, 2))
    assert [bucket.admits() for _ in range(3)] == [True, True, False]
    bucket.when -= 1000
    assert [bucket.admits() for _ in range(2)] == [True, False]


def test_passwords_longer_than_bcrypt_looks() -> None:
    made = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4))

    async def accepted() -> list[bool]:
        checker = Passwords()
        try:
            return [
                await checker.accepts({"alice": made}, header)
                for password in (b"x" * 80, b"x" * 71, b"x\0y")
                for header in [f"Basic {base64.b64encode(b'alice:' + password).decode()}"]
            ]
        finally:
            checker.close()

    assert asyncio.run(accepted()) == [True, False, False]
