# SPDX-License-Identifier: GPL-2.0-only
"""Odd command lines and files: one clear line, exit status 2, nothing opened; never a traceback.

While serving, a file that becomes unusable in any way refuses everything until it is fixed.
"""

import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fdscope.dashboards.alerting import reading
from fdscope.exporter.cli import main
from fdscope.exporter.settings import config, strict
from fdscope.exporter.settings.options import OPTIONS, Option, Options
from fdscope.exporter.settings.strict import ConfigError
from fdscope.exporter.web_config import model, protection, sections
from fdscope.exporter.web_config.context import context
from fdscope.exporter.web_config.model import RateLimit, WebConfig
from fdscope.exporter.web_config.protection import Protection
from tests.exporter.process import exporter
from tests.exporter.web_config.certificates import Authority, authority

HASH = bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()
WEB = f"""\
tls_server_config:
  cert_file: server.pem
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: authority.pem
  client_allowed_sans: [prometheus.example, "1.2.3.4"]
  min_version: TLS12
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]
http_server_config:
  http2: true
  headers:
    X-XSS-Protection: 0
    X-Frame-Options: deny
basic_auth_users:
  alice: {HASH}
rate_limit: {{interval: 1h30m, burst: 3}}
"""
TOML = """\
exclude-self = true
[web]
listen-address = ["127.0.0.1:0", "[::1]:1", "unix:/run/fdscope/metrics.sock"]
telemetry-path = "/metrics"
[probe]
stacks-every = 7
[selftest]
interval = 60
"""
QUICK = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = authority(tmp_path_factory.mktemp("certificates"))
    made.issue("server")
    authority(made.folder, "stranger")
    return made


def accept(load: Callable[[], object]) -> None:
    """It loads, or gives the reason in one printable line."""
    try:
        load()
    except ConfigError as error:
        text = str(error)
        assert text
        assert text.isprintable()
        assert len(text) < 3000


# --- Files that are no plain files -------------------------------------------------------------


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _link(path: Path) -> None:
    os.mkfifo(path.with_suffix(".f"))
    path.symlink_to(path.with_suffix(".f"))


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def _endless(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _loop(path: Path) -> None:
    path.symlink_to(path)


NO_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a FIFO": (_fifo, "it is a FIFO, not a regular file"),
    "a link to a FIFO": (_link, "it is a FIFO"),
    "an endless device": (lambda p: p.symlink_to("/dev/zero"), "it is a device"),
    "a terminal": (lambda p: p.symlink_to("/dev/ptmx"), "it is a device"),
    "a directory": (lambda p: p.mkdir(), "Is a directory"),
    "a socket": (_socket, "it is a socket"),
    "a file without end": (_endless, "larger than 1048576 bytes"),
    "nothing": (lambda _: None, "No such file"),
    "a loop of links": (_loop, "Too many levels"),
    "below a file": (lambda p: p.symlink_to("/etc/passwd/x"), "Not a directory"),
}  # fmt: skip


@pytest.fixture(params=sorted(NO_FILES))
def no_file(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    make, message = NO_FILES[request.param]
    make(tmp_path / "odd")
    return tmp_path / "odd", message


def test_options_from_what_is_no_file(
    no_file: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path, message = no_file
    assert main.main(["exporter", f"--config.file={path}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"fdscope exporter: cannot read {path}: ")
    assert message in line


def test_thresholds_from_what_is_no_file(
    no_file: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, message = no_file
    assert main.main(["rules", f"--config={path}", f"--out={tmp_path / 'out'}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"fdscope rules: cannot read {path}: ")
    assert message in line


def test_a_web_configuration_from_what_is_no_file(no_file: tuple[Path, str]) -> None:
    path, message = no_file
    with pytest.raises(ConfigError, match=message):
        Protection(path)


def test_a_web_configuration_that_takes_long_to_parse(tmp_path: Path) -> None:
    """It is read while serving, and a megabyte of lists takes minutes."""
    file = tmp_path / "odd"
    file.write_text("a: [" + "b," * (sections.MAX_BYTES // 2))
    with pytest.raises(ConfigError, match=f"is larger than {sections.MAX_BYTES} bytes"):
        Protection(file)


def test_unusable_files_that_take_long_are_read_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is served meanwhile."""
    file, now, reads = tmp_path / "web.yml", [100.0], [0]
    file.write_text("rate_limit: {interval: 1s, burst: 1}")
    protected = Protection(file, lambda: now[0])

    def parse(_: Path) -> WebConfig:
        reads[0] += 1
        now[0] += 3
        raise ConfigError("odd")

    monkeypatch.setattr(protection, "parse", parse)
    file.write_text("odd")
    for _ in range(100):
        with pytest.raises(ConfigError, match="odd"):
            protected.current()
        now[0] += 1
    assert reads[0] == 2


@pytest.mark.parametrize("which", ["cert_file", "key_file", "client_ca_file"])
def test_certificates_from_what_is_no_file(
    no_file: tuple[Path, str], issuer: Authority, which: str
) -> None:
    path, message = no_file
    text = WEB.replace(f"  {which}:", f"  {which}: {path} #")
    (issuer.folder / "odd.yml").write_text(text)
    tls = model.parse(issuer.folder / "odd.yml").tls
    assert tls
    with pytest.raises(ConfigError, match=message):
        context(tls)


@pytest.mark.parametrize("which", ["cert_file", "key_file", "client_ca_file"])
@pytest.mark.parametrize(
    "content",
    [
        b"", b"\0", b"\0" * 4096, b"x", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
    ],
)  # fmt: skip
def test_files_that_are_no_certificates(
    issuer: Authority, tmp_path: Path, which: str, content: bytes
) -> None:
    (tmp_path / "odd.pem").write_bytes(content)
    (issuer.folder / "odd.yml").write_text(
        WEB.replace(f"  {which}:", f"  {which}: {tmp_path / 'odd.pem'} #")
    )
    with pytest.raises(ConfigError, match=r"cannot be used: .*must be PEM"):
        Protection(issuer.folder / "odd.yml")


# --- The command line and TOML -----------------------------------------------------------------

ODD_ARGUMENTS = [
    f"--web.listen-address={host}:1"
    for host in (
        "a" * 64, ".", "..", "a..b", "-", "-a", "a-", "ünïcode", "bücher.example", "xn--", "☃",
        "\udcff", "a" * 5000, "[fe80::1%]", "[::1%]", "[]", "[1.2.3.4]", "[" + "1" * 5000 + "]",
        "a\tb", "a\x7f", "\u0661.1.1.1", "a_b.c." * 60, "[::1", "::", "%", "*",
    )
] + [
    "--web.listen-address=", "--web.listen-address=:", "--web.listen-address=:65536",
    "--web.listen-address=:" + "9" * 5000, "--web.listen-address=a:-1", "--web.listen-address=a:+1",
    "--web.listen-address=unix:", "--web.listen-address=unix:relative",
    "--web.listen-address=unix:/", "--web.listen-address=unix:/a/../b",
    "--web.listen-address=unix:/" + "a" * 107, "--web.listen-address=unix:@abstract",
    "--web.listen-address=unix:/a/", "--web.listen-address=unix:/\n",
    "--web.unix-socket-mode=", "--web.unix-socket-mode=rw", "--web.unix-socket-mode=0888",
    "--web.unix-socket-mode=01777", "--web.unix-socket-mode=" + "7" * 5000,
    "--web.unix-socket-group=no-such-group", "--web.unix-socket-group=\udcff",
    "--web.unix-socket-group=" + "9" * 5000,
    "--control.socket=", "--control.socket=relative", "--control.socket=/a/../b",
    "--control.socket=/\n/", "--control.group=no-such-group",
    "--web.telemetry-path=" + "/a" * 5000, "--web.telemetry-path=/\n", "--web.telemetry-path=/%00",
    "--web.telemetry-path=/-/healthy", "--web.telemetry-path=/events",
    "--privileges.user=no-such-user", "--privileges.user=\udcff", "--privileges.user=" + "u" * 5000,
    "--process.max-series=" + "9" * 5000, "--process.max-series=1e3", "--process.max-series=0x10",
    "--process.max-series=", "--process.max-series=-", "--process.max-series=1_0",
    "--process.max-series=\u0663", "--selftest.interval=1", "--selftest.interval=nan",
    "--log.level=INFO\n", "--log.level=" + "x" * 5000, "--probe.mode=\0x", "--probe.mode=",
    "--probe.stacks-every=0", "--probe.counter-entries=255", "--probe.process-entries=4194305",
]  # fmt: skip


@pytest.mark.parametrize("argument", ODD_ARGUMENTS, ids=lambda text: ascii(text)[:60])
def test_odd_arguments(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["exporter", argument]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"fdscope exporter: {argument.partition('=')[0]}")
    assert line.isprintable()
    assert len(line) < 2500


ODD_TOML = [
    "[" * 5000, "a = " + "[" * 5000, "a = " + "[" * 5000 + "]" * 5000,
    "a = " + "{a=" * 5000, ".".join("a" * 30_000) + " = 1", ".".join(["a"] * 100_000) + " = 1",
    '"a".' * 200_000 + "b = 1", "[" + ".".join(["web"] * 100) + "]",
    "web = " + "{x=" * 40 + "1" + "}" * 40,
    "process.max-series = " + "9" * 5000, "process.max-series = 0x" + "f" * 5000,
    "process.max-series = -1", "process.max-series = 1e400", "process.max-series = nan",
    "process.max-series = 2001-01-01", "process.max-series = 99999999999999999999",
    'web.telemetry-path = "/a\\u0000"', 'web.config.file = "a\\u0000b"',
    'web.listen-address = ["a\\u0000:1"]', 'privileges.user = "a\\u0000"',
    'web.unix-socket-group = "a\\u0000"', "web.unix-socket-mode = 660",
    'log.level = "\\u202einfo"', 'log.level = "' + "x" * 500_000 + '"', "x" * 500_000 + " = 1",
    '"\\u0000" = 1', '"\\n\\u001b[31m" = 1', "web = []", "web = [{}]", "[[web]]",
    "[web.config.file]",
    "web.listen-address = [[]]",
    "web.listen-address = [" + ",".join(f'"a:{n}"' for n in range(65)) + "]",
    "exclude-self = 2001-99-99", "exclude-self = 1979-05-27T07:32:00+99:99", "a\rb = 1", "\ta",
    "exclude-self = true\nexclude-self = true", "\udcff", "exclude-self = true\0",
    "\ufeff\ufeffexclude-self = true", "= 1", "'''", '"', "#\0",
]  # fmt: skip


@pytest.mark.parametrize("text", ODD_TOML, ids=lambda text: ascii(text)[:60])
def test_odd_toml(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "odd.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    for command in (["exporter", f"--config.file={file}"],
                    ["rules", f"--config={file}", f"--out={tmp_path}"]):  # fmt: skip
        assert main.main(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"fdscope {command[0]}: {file}")
        assert line.isprintable()
        assert len(line) < 2500


@pytest.mark.parametrize("text", ["\ufeff" + TOML, TOML.replace("\n", "\r\n"), "", "# \r\n"])
def test_toml_as_editors_write_it(text: str, tmp_path: Path) -> None:
    file = tmp_path / "fine.toml"
    file.write_text(text, newline="")
    assert isinstance(config.load({"config.file": str(file)}, {}), Options)


@QUICK
@given(
    option=st.sampled_from(OPTIONS),
    text=st.one_of(
        st.text(max_size=80),
        st.text(alphabet=":[]/%.-_a1\0\n\udcff", max_size=40),
        st.integers().map(str),
    ),
)
def test_any_value_of_any_option(option: Option, text: str) -> None:
    given_flag = [text] if option.kind is list else option.kind is bool or text
    accept(lambda: config.load({option.flag: given_flag}, {}, Path("/nonexistent")))
    variable = {option.variable: text} if option.variable else {}
    accept(lambda: config.load({}, variable, Path("/nonexistent")))


def mutated(text: str, seed: int) -> bytes:
    """The text with one to four odd changes."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    content = bytearray(text.encode())
    odd = [
        b"\0", b"\r", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\t", b"[", b"]", b"{", b"}",
        b"*a", b"&a ", b"!!int ", b"!!timestamp ", b"!!bool ", b"!!binary ", b"!x ", b"<<: ", b"? ",
        b": ", b"- ", b"|\n", b">", b"%YAML 9.9\n", b"---\n", b"...\n", b'"', b"'", b'"\\ud800"',
        b"~", b"nan", b"0o9", b"0x", b"1e999", b"2001-99-99", b"190:20:30", b"9" * 5000, b"#",
        b"\\", b"\n", b"=",
    ]  # fmt: skip
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(content) + 1), chance.choice((0, 0, 1, 5, 40))
        content[at : at + length] = chance.choice(odd)
    return bytes(content)


@pytest.mark.parametrize("start", range(0, 400, 100))
def test_mutated_files(start: int, issuer: Authority) -> None:
    web, toml = issuer.folder / "mutated.yml", issuer.folder / "mutated.toml"
    for seed in range(start, start + 100):
        web.write_bytes(mutated(WEB, seed))
        accept(lambda: Protection(web))
        toml.write_bytes(mutated(TOML, seed))
        accept(lambda: config.load({"config.file": str(toml)}, {}))
        toml.write_bytes(mutated(reading.DEFAULTS.read_text(), seed))
        accept(lambda: reading.load(toml))


@QUICK
@given(st.one_of(st.text(max_size=200), st.text(alphabet="[]{}:,&*!|>-?#\"'\n a1~<", max_size=60)))
def test_any_text_as_a_file(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    accept(lambda: Protection(file))
    accept(lambda: config.load({"config.file": str(file)}, {}))
    accept(lambda: reading.load(file))


# --- YAML --------------------------------------------------------------------------------------

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(20)
)
ODD_YAML = [
    LAUGHS, f"rate_limit:\n  interval: 1s\n  burst: 1\n{LAUGHS}", "&a [*a]", "&a {b: *a}",
    "basic_auth_users: &a {b: *a}", "[" * 20_000, "{a: " * 20_000, "- " * 5000, "? " * 5000,
    "&a {<<: *a}", "basic_auth_users: {<<: {a: b}}", "a: *nothing", "? [a]\n: b", "? {a: b}\n: c",
    "{[a]: b}", "~: a", ": a", "1: a", "2001-99-99: a", "2001-99-99", "rate_limit: 2001-99-99",
    "rate_limit: {burst: 2001-99-99}", "rate_limit: {burst: nan}", "rate_limit: {burst: .inf}",
    "rate_limit: {burst: 08}", "rate_limit: {burst: 1.5}", "rate_limit: {burst: 0x}",
    f"rate_limit: {{burst: {'9' * 5000}}}", "rate_limit: {burst: '3', interval: 1s}",
    "rate_limit: {interval: -1s, burst: 1}", "rate_limit: {interval: 1, burst: 1}",
    "rate_limit: {interval: 1d, burst: 1}", "rate_limit: {interval: 1s1, burst: 1}",
    "rate_limit: {interval: 190:20:30, burst: 1}", "rate_limit: {interval: .s, burst: 1}",
    "!!timestamp x", "!!int x", "!!float x", "!!bool x", "!!null x", "!!binary =", "!!set {a}",
    "!!omap [a]", "!!pairs [a]", "!!python/object:os.system x", "!x y", "!<x> y", "! {}", "{}",
    "a: !!str [b]", "rate_limit: !!map x", "\0", "a: \0", 'a: "\\0"', "\ufeff\ufeff", "\r", "\t",
    "a:\tb\n\tc", "%YAML 9.9\n--- {}", "%TAG ! x\n--- !a b", "--- {}\n--- {}", "...", "|", ">",
    '"\\ud800": x', f'basic_auth_users: {{"\\ud800": "{HASH}"}}',
    f'basic_auth_users: {{"a\\0b": "{HASH}"}}', f"basic_auth_users: {{'': '{HASH}'}}",
    "basic_auth_users: {a: [x]}", "basic_auth_users: {a: }", "basic_auth_users: [a]",
    "basic_auth_users: {a: $2b$19$" + "a" * 53 + "}",
    "basic_auth_users: {a: $2b$03$" + "a" * 53 + "}",
    'http_server_config: {headers: {X-XSS-Protection: "\\ud800"}}',
    'http_server_config: {headers: {X-XSS-Protection: "한"}}',
    'http_server_config: {headers: {X-XSS-Protection: "a\\0"}}',
    'http_server_config: {headers: {X-XSS-Protection: "a\\r\\nb: c"}}',
    "http_server_config: {headers: [a]}", "http_server_config: {headers: }",
    "http_server_config: {http2: maybe}", "http_server_config: {http2: 'true'}",
    'tls_server_config: {cert_file: "a\\0b", key_file: c}',
    'tls_server_config: {cert_file: "\\ud800", key_file: c}',
    'tls_server_config: {cert: "\\ud800", key: c}', "tls_server_config: {cert: x, key: y}",
    "tls_server_config: {cert_file: ., key_file: .}", "tls_server_config: {cert_file: ~}",
    "x" * 500_000, "x" * 500_000 + ": 1", "'" + "x" * 500_000,
    "{" + ",".join(f"k{n}: 1" for n in range(20_000)) + "}",
]  # fmt: skip


@pytest.mark.parametrize("text", ODD_YAML, ids=lambda text: ascii(text)[:60])
def test_odd_yaml(text: str, tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError) as caught:
        Protection(file)
    assert str(tmp_path) in str(caught.value)
    assert str(caught.value).isprintable()
    assert HASH not in str(caught.value)


def test_what_the_toolkit_takes(tmp_path: Path) -> None:
    """Numbers where strings are wanted, durations of Go, octal numbers, aliases."""
    file = tmp_path / "web.yml"
    file.write_text(
        f"""\ufeff
http_server_config:
  http2: on
  headers: {{X-XSS-Protection: 0, Strict-Transport-Security: 31536000}}
basic_auth_users: {{1: &hash "{HASH}", true: *hash, 1.5: *hash, 0x10: *hash}}
rate_limit: {{interval: 1h30m0.5s, burst: 010}}
""",
        newline="",
    )
    found = model.parse(file)
    assert found.headers == {"X-XSS-Protection": "0", "Strict-Transport-Security": "31536000"}
    assert list(found.users) == ["1", "true", "1.5", "0x10"]
    assert found.rate_limit == RateLimit(5400.5, 8)


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [
        ("1h30m", 5400), ("1.5h", 5400), ("1m0.5s", 60.5), (".5s", 0.5), ("1.s", 1), ("+2s", 2),
        ("100ms", 0.1), ("3us", 3e-6), ("3µs", 3e-6), ("3ns", 3e-9), ("'1s'", 1),
    ],
)  # fmt: skip
def test_durations_of_go(tmp_path: Path, interval: str, seconds: float) -> None:
    (tmp_path / "web.yml").write_text(f"rate_limit: {{interval: {interval}, burst: 2}}")
    found = model.parse(tmp_path / "web.yml").rate_limit
    assert found
    assert found.interval_seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["{interval: 0}", "{interval: 0, burst: 0}", "{burst: 0}", "{interval: 0s}", "{}"]
)
def test_no_rate_limit(tmp_path: Path, text: str) -> None:
    (tmp_path / "web.yml").write_text(f"rate_limit: {text}")
    assert model.parse(tmp_path / "web.yml").rate_limit is None


# --- While serving -----------------------------------------------------------------------------

USERS = f"basic_auth_users: {{alice: '{HASH}'}}\n"
WAYS: dict[str, Callable[[Path], object]] = {
    **{name: make for name, (make, _) in NO_FILES.items()},
    "empty": lambda p: p.touch(),
    "not UTF-8": lambda p: p.write_bytes(b"\xff"),
    "a NUL": lambda p: p.write_text(USERS + "\0"),
    "half written": lambda p: p.write_text(USERS[:30]),
    "deeply nested": lambda p: p.write_text("[" * 20_000),
    "laughs": lambda p: p.write_text(LAUGHS),
    "a wrong date": lambda p: p.write_text("2001-99-99"),
    "a header that no answer can carry": lambda p: p.write_text(
        USERS + 'http_server_config: {headers: {X-XSS-Protection: "한"}}'
    ),
}


@pytest.mark.parametrize("way", sorted(WAYS))
def test_a_file_that_breaks_while_serving(tmp_path: Path, way: str) -> None:
    file = tmp_path / "web.yml"
    file.write_text(USERS)
    followed = Protection(file)
    file.unlink()
    WAYS[way](file)
    for _ in range(2):
        with pytest.raises(ConfigError):
            followed.current()
    assert not followed.reload()
    file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink(missing_ok=True)
    file.write_text(USERS)
    assert list(followed.current().config.users) == ["alice"]


def test_whatever_goes_wrong_the_old_configuration_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected exception, which goes away without a change of the file."""
    file = tmp_path / "web.yml"
    file.write_text(USERS)
    now = [0.0]
    followed = Protection(file, lambda: now[0])

    def fail(_path: Path) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(protection, "parse", fail)
        file.write_text(USERS.replace("alice", "bob"))
        for _ in range(2):
            with pytest.raises(ConfigError, match="cannot be used: ZeroDivisionError"):
                followed.current()
        assert not followed.reload()
    with pytest.raises(ConfigError):
        followed.current()
    now[0] += protection.RETRY_SECONDS
    assert list(followed.current().config.users) == ["bob"]


def test_a_start_with_a_file_that_is_none_ends_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "web.yml")
    with exporter("", f"--web.config.file={tmp_path / 'web.yml'}") as process:
        told, why = process.communicate(timeout=120)
    assert (process.returncode, told) == (2, "")
    assert why.splitlines()[-1].endswith("web.yml: it is a FIFO, not a regular file")
    assert "Traceback" not in why


def test_the_whole_command_says_one_line(tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text("[" * 5000)
    done = subprocess.run(
        [sys.executable, "-m", "fdscope", "exporter", f"--config.file={tmp_path}/odd.toml"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_messages_are_short_whatever_the_value() -> None:
    assert strict.shown(10**5000) == "a number that is too long"
    assert len(strict.shown("x" * 10_000)) < 100
    assert str(ConfigError("a\nb\x1b")) == r"a\x0ab\x1b"
