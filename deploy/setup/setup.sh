#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Installs what fdscope needs on Debian and Ubuntu: `deploy/setup/setup.sh run|test|check`.
# Installs distribution packages only if something is missing, then makes .venv in the checkout.

set -euo pipefail
# Python must not search for code in root's environment or HOME, which others may have written to.
unset "${!PYTHON@}"
export PYTHONNOUSERSITE=1
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly DISTRIBUTION_PYTHON=/usr/bin/python3
readonly VENV=$PWD/.venv

say() {
	printf 'setup: %s\n' "$*"
}

fail() {
	printf 'setup: error: %s\n' "$@" >&2
	exit 1
}

# shellcheck source=deploy/install/grafana.sh
. deploy/install/grafana.sh
# shellcheck source=deploy/setup/packages.sh
. deploy/setup/packages.sh

# True if .venv was made in this place, with this Python and its site packages.
venv_is_ours() {
	local made_with="$DISTRIBUTION_PYTHON -m venv --system-site-packages"
	grep -qsxF "version = $("$DISTRIBUTION_PYTHON" -V | cut -d ' ' -f 2)" "$VENV/pyvenv.cfg" &&
		grep -qsE "^command = $made_with (--clear )?$VENV\$" "$VENV/pyvenv.cfg" &&
		"$VENV/bin/python" -m pip --version >/dev/null 2>&1
}

# pip of Debian 12 does not know dependency groups: read them here.
requirements() {
	"$VENV/bin/python" - "$@" <<-'END'
		import sys, tomllib
		with open("pyproject.toml", "rb") as file:
		    groups = tomllib.load(file)["dependency-groups"]
		for group in sys.argv[1:]:
		    print(*groups[group], sep="\n")
	END
}

ensure_venv() {
	local groups=() hash requirements
	case $1 in
	test) groups=(test look) ;;
	check) groups=(test look check) ;;
	esac
	if ! venv_is_ours; then
		say "making .venv with $("$DISTRIBUTION_PYTHON" -V)"
		"$DISTRIBUTION_PYTHON" -m venv --system-site-packages --clear "$VENV"
	fi
	hash=$(sha256sum <pyproject.toml | cut -d ' ' -f 1)
	for group in check test run; do
		[ "$(cat "$VENV/set-up-for-$group" 2>/dev/null)" != "$hash" ] || return 0
		[ "$group" != "$1" ] || break
	done
	say "installing fdscope and its Python packages into .venv"
	requirements=$(requirements "${groups[@]}")
	mapfile -t requirements <<<"$requirements"
	"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
		--editable . ${requirements:+"${requirements[@]}"} ||
		fail "pip could not install the Python packages: see its messages above"
	printf '%s\n' "$hash" >"$VENV/set-up-for-$1"
}

# Makes fdscope look for code only in .venv and the distribution: not in PYTHONPATH, nor in the site
# directory of HOME.
isolate_command() {
	sed -i '1s|^\(#!.*/python[0-9.]*\)$|\1 -I|' "$VENV/bin/fdscope"
}

# Grafana's own types and code, against which the tests check the dashboards, in build/node.
ensure_grafana_packages() {
	local folder=$PWD/build/node source=tests/dashboards/node/package.json
	[ -e "$source" ] || return 0
	! cmp -s "$source" "$folder/installed" || return 0
	if ! command -v npm >/dev/null; then
		say "no npm here: tests that need Grafana's own code are skipped"
		return
	fi
	say "installing Grafana's own types and code into build/node"
	mkdir -p "$folder"
	cp "$source" "$folder/package.json"
	if (cd "$folder" && npm install --legacy-peer-deps --no-audit --no-fund --no-package-lock \
		--ignore-scripts --loglevel=error); then
		cp "$source" "$folder/installed"
	else
		say "npm could not install them: tests that need Grafana's own code are skipped"
	fi
}

main() {
	case ${1:-} in
	run | test | check) ;;
	*) fail "usage: deploy/setup/setup.sh run|test|check" ;;
	esac
	if [ "$1" = run ] && [ "$(id -u)" != 0 ]; then
		fail "not root: BPF programs need it. Start it again with: sudo make run"
	fi
	mkdir -p build
	exec 9>build/setup.lock
	flock -n 9 || { say "waiting for another setup in this checkout" && flock 9; }
	ensure_packages "$1"
	ensure_venv "$1"
	isolate_command
	case $1 in
	run) ensure_grafana ;;
	test | check) ensure_grafana_packages ;;
	esac
}

main "$@"
