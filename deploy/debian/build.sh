#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Builds the Debian package into build/: `deploy/debian/build.sh`, for Debian 12, 13 and Ubuntu 24.04 alike.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly PYTHON=${PYTHON:-$PWD/.venv/bin/python}
readonly WORK=$PWD/build/deb
readonly NEEDED=(debhelper dpkg-dev lintian)

fail() {
	printf 'deb: error: %s\n' "$@" >&2
	exit 1
}

ensure_packages() {
	local missing=() package
	for package in "${NEEDED[@]}"; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	[ "$(id -u)" = 0 ] || fail "missing: apt-get install --no-install-recommends ${missing[*]}"
	apt-get update -q >/dev/null
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
		-o DPkg::Lock::Timeout=300 "${missing[@]}" >/dev/null
}

# A copy of the files in git, or of the folder if it is no checkout.
copy_tree() {
	git ls-files -z -c -o --exclude-standard |
		while IFS= read -r -d '' name; do
			[ ! -e "$name" ] || printf '%s\0' "$name"
		done |
		tar --create --null --files-from=- | tar --extract --directory "$1"
	mv "$1/deploy/debian" "$1/debian"
	cp "$1/deploy/service/fdscope.service" "$1/debian/fdscope.service"
}

version() {
	sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml
}

# A native package needs a changelog; the version is that of pyproject.toml.
write_changelog() {
	printf 'fdscope (%s) unstable; urgency=medium\n\n  * See /usr/share/doc/fdscope/README.md.\n\n' \
		"$(version)"
	printf ' -- fdscope developers <fdscope@fdscope.invalid>  %s\n' \
		"$(LC_ALL=C date -R -u -d "@${SOURCE_DATE_EPOCH}")"
}

install_python() {
	local pip=("$PYTHON" -m pip install --quiet --disable-pip-version-check --no-compile
		--root-user-action=ignore --no-deps --target "$1")
	"${pip[@]}" --require-hashes --requirement debian/requirements.txt
	"${pip[@]}" .
	rm -rf "${1:?}"/*.dist-info/{direct_url.json,RECORD,REQUESTED}
	# No tests and no programs.
	find "$1" -mindepth 1 -maxdepth 1 ! -name '*.dist-info' ! -name fdscope \
		! -name grafanalib ! -name prometheus_client -exec rm -r {} +
	find "$1" -type d -empty -delete
	find "$1" -name tests -path '*/grafanalib/*' -prune -exec rm -r {} +
	# Modules, not programs.
	find "$1" -name '*.py' -exec sed -i '1{/^#!/d}' {} +
}

# Manual pages and completion, made of the parsers of the commands.
write_generated() {
	PYTHONPATH=. "$PYTHON" -m fdscope.exporter.generate.man_pages build-deb/man
	PYTHONPATH=. "$PYTHON" -m fdscope.exporter.generate.completion bash >build-deb/fdscope
	PYTHONPATH=. "$PYTHON" -m fdscope.exporter.generate.completion zsh >build-deb/_fdscope
}

main() {
	ensure_packages
	"$PYTHON" -c 'import shtab' 2>/dev/null || fail "no shtab for $PYTHON: deploy/setup/setup.sh check"
	SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
	export SOURCE_DATE_EPOCH
	rm -rf "$WORK"
	mkdir -p "$WORK/fdscope/build-deb"
	copy_tree "$WORK/fdscope"
	write_changelog >"$WORK/fdscope/debian/changelog"
	cd "$WORK/fdscope"
	install_python build-deb/lib
	write_generated
	dpkg-buildpackage --build=binary --unsigned-changes --unsigned-buildinfo --no-check-builddeps \
		>../build.log 2>&1 || { tail -n 40 ../build.log >&2 && fail "dpkg-buildpackage: see above"; }
	lintian --fail-on error,warning ../fdscope_*.deb
	mv ../fdscope_*.deb ../../
	realpath ../../fdscope_*.deb
}

main "$@"
