# SPDX-License-Identifier: GPL-2.0-only
"""Work of a healthy host: a build, the installation of a package, a web server under load."""

import http.client
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.alerts.stack import get, wait_for

FUNCTIONS = 400


def build(folder: Path) -> None:
    """Compile and link a program of several files, by make, with two jobs."""
    folder.mkdir()
    parts = [f"part{number}" for number in range(6)]
    for part in parts:
        body = "".join(
            f"int {part}_{n}(int x) {{ return x * {n} + 1; }}\n" for n in range(FUNCTIONS)
        )
        (folder / f"{part}.c").write_text(f"#include <stdio.h>\n#include <stdlib.h>\n{body}")
    (folder / "main.c").write_text("int main(void) { return 0; }\n")
    objects = " ".join(f"{part}.o" for part in (*parts, "main"))
    (folder / "Makefile").write_text(f"program: {objects}\n\tcc -o $@ $^\n")
    command = ["make", "--silent", "-j2", "CFLAGS=-O2", f"--directory={folder}"]
    subprocess.run(command, check=True)


def install(folder: Path) -> None:
    """Pack a package of some hundred files, and let dpkg install it below a folder."""
    tree, root = folder / "tree", folder / "root"
    control = tree / "DEBIAN/control"
    control.parent.mkdir(parents=True)
    control.write_text(
        "Package: fdscope-test\nVersion: 1\nArchitecture: all\nMaintainer: nobody <a@example.org>\n"
        "Description: files\n"
    )
    for number in range(300):
        file = tree / f"opt/fdscope-test/{number % 10}/{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(range(256)) * 40)
    package = folder / "package.deb"
    subprocess.run(
        ["dpkg-deb", "--build", str(tree), str(package)], check=True, capture_output=True
    )
    for name in ("info", "updates"):
        (root / "var/lib/dpkg" / name).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    install = ["dpkg", f"--root={root}", "--install", str(package)]
    subprocess.run(install, check=True, capture_output=True)


def serve(folder: Path, port: int, seconds: float) -> int:
    """Serve files to four clients without a pause; return the number of answers."""
    folder.mkdir()
    (folder / "page").write_bytes(bytes(20_000))
    command = [sys.executable, "-m", "http.server", str(port), "--bind=127.0.0.1"]
    server = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: get(port, "/page"), 60, lambda: "the web server does not answer")
    answers: list[int] = []

    def ask() -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                connection.request("GET", "/page")
                answers.append(len(connection.getresponse().read()))
            finally:
                connection.close()
            time.sleep(0.002)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    server.terminate()
    server.wait()
    return len(answers)
