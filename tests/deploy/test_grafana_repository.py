# SPDX-License-Identifier: GPL-2.0-only
"""Grafana's package repository is added to apt, or leaves nothing behind.

A real apt with separate files, a real signed repository on this machine.
"""

import functools
import hashlib
import http.server
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.paths import DEPLOY

ADD = f"say() {{ :; }}; . {DEPLOY}/install/grafana.sh; add_grafana_repository"
NEEDED = ("apt-get", "dpkg-deb", "gpg")

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, NEEDED)), reason=f"one of {', '.join(NEEDED)} is missing here"
)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine; yields its address."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Signer:
    """A new key without a password; gpg's agent for it runs until ``close``."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        self._home = home
        self._gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--yes"]
        self._gpg += ["--pinentry-mode", "loopback", "--passphrase", ""]
        self._run("--quick-generate-key", "test <test@example.org>", "ed25519", "sign")

    def _run(self, *arguments: str) -> bytes:
        return subprocess.run([*self._gpg, *arguments], check=True, capture_output=True).stdout

    def close(self) -> None:
        command = ["gpgconf", "--homedir", str(self._home), "--kill", "all"]
        subprocess.run(command, check=True, capture_output=True)

    def public_key(self) -> bytes:
        return self._run("--armor", "--export")

    def sign(self, file: Path, into: Path) -> None:
        self._run("--clearsign", "--output", str(into), str(file))


def make_repository(folder: Path, signer: Signer, package: str = "grafana") -> Path:
    """Write a repository with one package: the layout is that of Grafana's own."""
    control = folder / "package/DEBIAN/control"
    control.parent.mkdir(parents=True)
    fields = f"Package: {package}\nVersion: 12.2.0\nArchitecture: all\n"
    fields += "Maintainer: test <test@example.org>\nDescription: test\n"
    control.write_text(fields)
    deb, binaries = folder / "grafana.deb", folder / "dists/stable/main/binary-all"
    subprocess.run(
        ["dpkg-deb", "--build", control.parents[1], deb], check=True, capture_output=True
    )
    binaries.mkdir(parents=True)
    content = deb.read_bytes()
    fields += f"Filename: grafana.deb\nSize: {len(content)}\n"
    fields += f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
    packages = binaries / "Packages"
    packages.write_text(fields)
    digest = hashlib.sha256(packages.read_bytes()).hexdigest()
    release = folder / "dists/stable/Release"
    release.write_text(
        "Suite: stable\nCodename: stable\nComponents: main\nArchitectures: all\n"
        f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n"
        f" {digest} {packages.stat().st_size} main/binary-all/Packages\n"
    )
    signer.sign(release, release.with_name("InRelease"))
    (folder / "gpg.key").write_bytes(signer.public_key())
    return folder


class Apt:
    """An apt whose settings, lists and state lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self.etc = folder / "etc"
        (self.etc / "sources.list.d").mkdir(parents=True)
        (folder / "state/lists/partial").mkdir(parents=True)
        (folder / "cache/archives/partial").mkdir(parents=True)
        status, config = folder / "state/status", folder / "apt.conf"
        status.touch()
        config.write_text(
            f'Dir::Etc "{self.etc}";\nDir::State "{folder}/state";\nDir::Cache "{folder}/cache";\n'
            f'Dir::State::status "{status}";\nAPT::Sandbox::User "";\n'
        )
        self._environment = {**os.environ, "APT_CONFIG": str(config)}

    def add(self, repository: str) -> tuple[int, list[str]]:
        """Add the repository; its exit status and the files it prints."""
        done = subprocess.run(
            ["bash", "-c", ADD],
            env={**self._environment, "FDSCOPE_GRAFANA_REPOSITORY": repository},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout.split()

    def candidate(self) -> str:
        """Apt's output about the package."""
        return subprocess.run(
            ["apt-cache", "show", "grafana"],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        ).stdout

    def files(self) -> list[str]:
        return sorted(str(path) for path in self.etc.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    signer = Signer(tmp_path_factory.mktemp("keys") / "home")
    yield signer
    signer.close()


@pytest.fixture
def apt(tmp_path: Path) -> Apt:
    return Apt(tmp_path / "apt")


def test_it_is_added_and_told_and_once_is_enough(apt: Apt, signer: Signer, tmp_path: Path) -> None:
    assert apt.candidate() == ""
    with served(make_repository(tmp_path / "repository", signer)) as address:
        status, told = apt.add(address)
    assert status == 0
    assert sorted(told) == apt.files() != []
    assert "Version: 12.2.0" in apt.candidate()
    assert apt.add(address) == (0, [])


def test_nothing_stays_of_one_that_is_not_there(apt: Apt) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert apt.add(f"http://127.0.0.1:{closed.getsockname()[1]}") == (1, [])
    assert apt.files() == []


def test_nothing_stays_of_one_that_never_answers(apt: Apt) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert apt.add(f"http://127.0.0.1:{silent.getsockname()[1]}") == (1, [])
    assert apt.files() == []


def test_one_that_another_key_signed_is_not_taken(apt: Apt, signer: Signer, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repository", signer)
    other = Signer(tmp_path / "other")
    (repository / "gpg.key").write_bytes(other.public_key())
    other.close()
    with served(repository) as address:
        assert apt.add(address) == (1, [])
    assert apt.files() == []
    assert apt.candidate() == ""


def test_one_without_grafana_is_not_kept(apt: Apt, signer: Signer, tmp_path: Path) -> None:
    with served(make_repository(tmp_path / "repository", signer, "other")) as address:
        assert apt.add(address) == (1, [])
    assert apt.files() == []


def test_a_list_of_another_making_is_left_alone(apt: Apt, signer: Signer, tmp_path: Path) -> None:
    own = apt.etc / "sources.list.d/grafana.list"
    own.write_text("# mine\n")
    with served(make_repository(tmp_path / "repository", signer)) as address:
        assert apt.add(address) == (1, [])
    assert own.read_text() == "# mine\n"
