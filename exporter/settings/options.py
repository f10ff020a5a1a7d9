# SPDX-License-Identifier: GPL-2.0-only
"""The options of ``fdscope exporter``: one table, with the check of each value."""

import grp
import os
import pwd
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdscope.exporter import logs
from fdscope.exporter.settings.addresses import AnyAddress, UnixAddress, address, addresses
from fdscope.exporter.settings.strict import shown
from fdscope.probes.attach import cache
from fdscope.probes.kernel import preemption
from fdscope.probes.schema.taxonomy import Mode

HEALTHY_PATH, READY_PATH = "/-/healthy", "/-/ready"
EVENTS_PATH, DOORS_PATH, STATIC_PATH = "/events", "/doors", "/static/"
HISTORY_PATH, DOCTOR_PATH = "/history", "/doctor"
WATCH_PATH, TALKS_PATH = "/watch", "/talks"
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("auto", "logfmt", "json", "systemd")

_MAX_PATH = 256
_PATH = re.compile(r"(/\.?[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?")


@dataclass(frozen=True, slots=True)
class Options:
    """Every option with a checked value."""

    listen_addresses: tuple[AnyAddress, ...]
    systemd_socket: bool
    """Listen on the sockets that systemd passes, instead of ``listen_addresses``."""
    unix_socket_mode: int
    """Permissions of unix sockets."""
    unix_socket_group: int | None
    """Group id of unix sockets; None: the process's own."""
    telemetry_path: str
    web_config_file: Path | None
    details: bool
    """Show details on the page to everyone who can open it."""
    history_megabytes: int
    log_level: str
    log_format: str
    modes: tuple[Mode, ...]
    """The attach modes to try, in this order."""
    latency: bool
    stacks: bool
    stacks_every: int
    """One stack is sampled of so many operations of the socket layer, if ``stacks``."""
    counter_entries: int
    process_entries: int
    cache: str
    """Directory in which compiled programs are kept; "" for none."""
    control_socket: str
    """Path of the control socket; "" for none, "auto" for the usual place if it can be used."""
    control_group: int | None
    """Group that may use it besides root; None for none."""
    exclude_self: bool
    nice: int
    """The priority to serve with, if it may be set and nobody has set one; 0: none."""
    privileges_user: str
    """The user to become once everything is attached; empty: none."""
    max_series: int
    """Most processes that get series of their pid."""
    budget: int
    """Most series that a scrape may have."""
    read_state: bool
    """Read names of containers from the state of their runtimes."""
    selftest_interval: int
    """Seconds; 0 for a self-test at start only."""
    journal: bool
    journal_file: Path | None
    """The file that events are written to; None for none."""
    journal_file_bytes: int
    journal_files: int
    """How many older files are kept."""
    journal_stdout: bool
    journal_journald: bool
    journal_state: Path | None
    """The directory of what is kept between runs; None: nothing is."""
    journal_learn_hours: int
    journal_unit_limit: int
    """Events of a kind that a unit may write in a minute."""
    journal_runbooks: str
    """Address of the runbooks."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option: ``--flag`` on the command line, and the same dotted name in TOML."""

    flag: str
    field: str
    """Its field of ``Options``."""
    kind: type
    """Its type in TOML: str, bool, int or list (of str; as a flag it can be repeated)."""
    default: Any
    help: str
    metavar: str | None = None
    check: Callable[[Any], Any] = lambda value: value
    """From a value of the TOML type to that of the field; ValueError says what is wrong."""
    variable: str = ""
    """An environment variable that sets it too."""


def _telemetry_path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"{shown(text)} does not start with /")
    taken = (
        *("/", HEALTHY_PATH, READY_PATH, EVENTS_PATH),
        *(DOORS_PATH, HISTORY_PATH, WATCH_PATH, TALKS_PATH, DOCTOR_PATH),
    )
    if text in taken or text.startswith(STATIC_PATH):
        raise ValueError(f"{text} is another page of the exporter")
    if len(text) > _MAX_PATH or not _PATH.fullmatch(text):
        raise ValueError(
            f"{shown(text)} is not a plain path of up to {_MAX_PATH} letters, digits and . _ ~ -"
        )
    return text


def _one_of(words: Sequence[str]) -> Callable[[str], str]:
    def check(word: str) -> str:
        if word not in words:
            raise ValueError(f"{shown(word)} is not one of {', '.join(words)}")
        return word

    return check


def _between(least: int, most: int) -> Callable[[int], int]:
    def check(number: int) -> int:
        if not least <= number <= most:
            raise ValueError(f"{shown(number)} is not from {least} to {most}")
        return number

    return check


def _zero_or_between(least: int, most: int) -> Callable[[int], int]:
    return lambda number: number and _between(least, most)(number)


def _permissions(text: str) -> int:
    if not re.fullmatch("0?[0-7]{3}", text):
        raise ValueError(f"{shown(text)} is not three octal digits such as 0660")
    return int(text, 8)


def _group(name: str) -> int | None:
    if re.fullmatch("[0-9]{1,9}", name):
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid if name else None
    except KeyError as error:
        raise ValueError(f"there is no group {shown(name)}") from error


def _user(name: str) -> str:
    try:
        if name:
            pwd.getpwnam(name)
    except KeyError as error:
        raise ValueError(
            f"there is no user {shown(name)}: make one (useradd --system NAME) or name another"
        ) from error
    return name


_MODE_WORDS = ("auto", *(mode.value for mode in Mode))


def _modes(word: str) -> tuple[Mode, ...]:
    return preemption.best_first() if _one_of(_MODE_WORDS)(word) == "auto" else (Mode(word),)


def _cache(word: str) -> str:
    if word == "auto":
        return str(cache.directory() or "")
    if word == "off":
        return ""
    return _absolute(word)


def _absolute(word: str) -> str:
    if not word.startswith("/") or ".." in Path(word).parts or not word.isprintable():
        raise ValueError("must be auto, off or an absolute path without ..")
    return word


def state_directory() -> Path | None:
    """The directory that systemd made for the service's state (``StateDirectory=``)."""
    first = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(first) if first.startswith("/") else None


def _journal_file(word: str) -> Path | None:
    if word == "auto":
        directory = state_directory()
        return directory and directory / "events.jsonl"
    if word == "off":
        return None
    if word.endswith("/"):
        raise ValueError(f"{shown(word)} names a directory, not a file")
    return Path(_absolute(word))


def _journal_state(word: str) -> Path | None:
    if word == "auto":
        return state_directory()
    return None if word == "off" else Path(_absolute(word))


def _journald(word: str) -> bool:
    if _one_of(("auto", "on", "off"))(word) == "auto":
        return logs.is_journal(os.environ)
    return word == "on"


def _mebibytes(number: int) -> int:
    return _between(1, 65_536)(number) << 20


def _address(text: str) -> str:
    if not text or not text.isprintable() or " " in text:
        raise ValueError(f"{shown(text)} is not an address")
    return text.rstrip("/")


def _control_socket(word: str) -> str:
    if word in ("auto", "off"):
        return "" if word == "off" else word
    found = address(f"unix:{word}")
    return found.path if isinstance(found, UnixAddress) else ""


_ENTRIES = _between(256, 4_194_304)

OPTIONS = (
    Option(
        "web.listen-address", "listen_addresses", list, ["127.0.0.1:20253"],
        "Where to serve: HOST:PORT or unix:/PATH; can be repeated. An empty host (:20253) means"
        " every address of the machine, port 0 a free port. A port on the loopback is open to"
        " every local user, who then sees the names, pids, units and fds of all processes; a unix"
        " socket is open to those that its mode and group admit; --web.config.file can require"
        " passwords or client certificates.",
        "ADDRESS", addresses,
    ),
    Option(
        "web.systemd-socket", "systemd_socket", bool, False,
        "Serve on the sockets that systemd passes (socket activation) instead of"
        " --web.listen-address.",
    ),
    Option(
        "web.unix-socket-mode", "unix_socket_mode", str, "0660",
        "Permissions of the unix sockets of --web.listen-address; write permission is what clients"
        " need.",
        "MODE", _permissions,
    ),
    Option(
        "web.unix-socket-group", "unix_socket_group", str, "",
        "Group of the unix sockets of --web.listen-address.", "GROUP", _group,
    ),
    Option(
        "web.telemetry-path", "telemetry_path", str, "/metrics",
        "Path of the metrics.", "PATH", _telemetry_path,
    ),
    Option(
        "web.config.file", "web_config_file", str, "",
        "YAML file with TLS, passwords and headers, in the format of Prometheus' own exporters;"
        " read again when it changes.",
        "FILE", lambda text: Path(text) if text else None,
    ),
    Option(
        "web.details", "details", bool, False,
        "Show the last hour, and the files of processes with their names and peers, on the live"
        " page to everyone who can open it. Without, only where --web.config.file requires a"
        " password or a client certificate.",
    ),
    Option(
        "web.history", "history_megabytes", int, 64,
        "Most megabytes of memory for the last hour of the live page; 0 keeps none.",
        "MB", _between(0, 1024),
    ),
    Option(
        "log.level", "log_level", str, "info",
        "Least level of what is logged on standard error: debug, info, warning or error.",
        "LEVEL", _one_of(LOG_LEVELS),
    ),
    Option(
        "log.format", "log_format", str, "auto",
        "Format of the log: logfmt or json, both with a time, systemd for the journal, or auto:"
        " systemd where standard error is the journal, else logfmt.",
        "FORMAT", _one_of(LOG_FORMATS),
    ),
    Option(
        "probe.mode", "modes", str, "auto",
        "Attach mode: fentry, kprobe, tracepoint, or auto for the best that works here.",
        "MODE", _modes, "FDSCOPE_ATTACH_MODE",
    ),
    Option(
        "probe.latency", "latency", bool, False,
        "Measure the duration of operations, as histograms by fd type and direction. It costs a"
        " clock read and a store for every operation.",
    ),
    Option(
        "probe.stacks", "stacks", bool, False,
        "Sample the kernel's call chains from the doors down to the socket layer, as proof of the"
        " way that bytes take. To name the functions it needs CAP_SYSLOG at start.",
    ),
    Option(
        "probe.stacks-every", "stacks_every", int, 100,
        "With --probe.stacks: sample one of so many operations of the socket layer on a CPU.",
            "N", _between(1, 1_000_000),
    ),
    Option(
        "probe.counter-entries", "counter_entries", int, 32768,
        "Entries of the kernel's map for combinations of process, fd type, door and errno. Once it"
        " is full, further ones are counted for the host as a whole.",
        "N", _ENTRIES,
    ),
    Option(
        "probe.process-entries", "process_entries", int, 16384,
        "Entries of the kernel's map for the names of processes.", "N", _ENTRIES,
    ),
    Option(
        "probe.cache", "cache", str, "auto",
        "Where to keep the compiled programs for the next start, which then takes a third of the"
        " time: a directory that nobody else can write to, auto for the one that systemd made"
        " (CacheDirectory=), or /var/cache/fdscope where root runs it, or off.",
        "DIRECTORY", _cache,
    ),
    Option(
        "control.socket", "control_socket", str, "auto",
        "Unix socket on which commands such as `fdscope files` watch processes through this"
        " exporter: a path, off, or auto for the directory that systemd made (RuntimeDirectory=),"
        " or /run/fdscope where root runs it. It shows the names of files and peers.",
        "PATH", _control_socket,
    ),
    Option(
        "control.group", "control_group", str, "",
        "Group whose members may use the control socket; without it only root may.",
        "GROUP", _group,
    ),
    Option(
        "exclude-self", "exclude_self", bool, False, "Leave out the exporter's own I/O.",
    ),
    Option(
        "scheduling.nice", "nice", int, -10,
        "Priority (nice) to serve with, so that a host that is busy or under attack can still be"
        " observed; 0 leaves it as it is, and so does a process that may not raise it or that was"
        " started with another one.",
        "NICE", _between(-20, 19),
    ),
    Option(
        "privileges.user", "privileges_user", str, "",
        "User to become once everything is attached. Capabilities that serving does not need are"
        " dropped in any case.",
        "USER", _user,
    ),
    Option(
        "process.max-series", "max_series", int, 1000,
        "Most processes that get series of their pid; the others are summed under their name.",
        "N", _between(0, 1_000_000),
    ),
    Option(
        "metrics.max-series", "budget", int, 20_000,
        "Most series that a scrape may have. If there are more, the processes, names and errors"
        " that move least, or have ended, are summed.",
        "N", _between(2000, 1_000_000),
    ),
    Option(
        "units.read-state", "read_state", bool, False,
        "Read the names, images and pods of containers for fdscope_unit_info from the state that"
        " Docker, containerd, CRI-O, Podman and the kubelet keep on this machine. A separate"
        " process does it. Most of that state is root's: the service needs CAP_DAC_READ_SEARCH,"
        " which that process alone keeps.",
    ),
    Option(
        "selftest.interval", "selftest_interval", int, 0,
        "Seconds between short self-tests while serving, besides the one at start; 0 for none."
        " Their bytes count as those of the process fdscope-test.",
        "SECONDS", _zero_or_between(60, 604_800),
    ),
    Option(
        "journal.enabled", "journal", bool, True,
        "Follow unusual events (docs/events.md): count them, and write them to the sinks below.",
    ),
    Option(
        "journal.file", "journal_file", str, "auto",
        "File that events are written to, one JSON object a line, readable for its owner alone: an"
        " absolute path, off, or auto for events.jsonl in the directory that systemd made"
        " (StateDirectory=), where there is one.",
        "FILE", _journal_file,
    ),
    Option(
        "journal.file-size", "journal_file_bytes", int, 16,
        "Size in MiB at which the file is renamed to FILE.1 and a new one is begun.",
        "MIB", _mebibytes,
    ),
    Option(
        "journal.files", "journal_files", int, 4, "How many older files are kept.",
        "N", _between(0, 100),
    ),
    Option(
        "journal.stdout", "journal_stdout", bool, False,
        "Write events to standard output too.",
    ),
    Option(
        "journal.journald", "journal_journald", str, "auto",
        "Write events to systemd's journal, with fields such as FDSCOPE_KIND: on, off, or auto for"
        " on where standard error is that journal.",
        "WHEN", _journald,
    ),
    Option(
        "journal.state", "journal_state", str, "auto",
        "Directory for what the journal keeps between runs, such as the profiles: an absolute path,"
        " off, or auto for the one that systemd made (StateDirectory=), where there is one.",
        "DIRECTORY", _journal_state,
    ),
    Option(
        "journal.learn-hours", "journal_learn_hours", int, 168,
        "How long the processes of a name and unit are observed before what is new about them is an"
        " event; 0 for no such profiles.",
        "HOURS", _between(0, 8760),
    ),
    Option(
        "journal.unit-limit", "journal_unit_limit", int, 120,
        "Events of a kind that a unit or container may write in a minute; how many more there were"
        " is written as one line.",
        "N", _between(1, 1_000_000),
    ),
    Option(
        "journal.runbooks", "journal_runbooks", str, "file:///usr/share/doc/fdscope/runbooks",
        "Address of the runbooks, for the links in events.", "URL", _address,
    ),
)  # fmt: skip
