# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The packages of the distribution that fdscope needs, and Grafana; sourced by setup.sh.

python_has() {
	"$DISTRIBUTION_PYTHON" -I -c "$1" >/dev/null 2>&1
}

# True if what the package provides is there, wherever it came from.
have() {
	case $1 in
	python3) python_has 'import sys; sys.exit(sys.version_info < (3, 11))' ;;
	python3-venv) python_has 'import ensurepip, venv' ;;
	python3-bpfcc) python_has 'from bcc import BPF' ;;
	python3-numpy) python_has 'import numpy' ;;
	prometheus) command -v prometheus && command -v promtool ;;
	prometheus-alertmanager) command -v prometheus-alertmanager && command -v amtool ;;
	libc6-dev) [ -e /usr/include/stdio.h ] ;;
	nodejs) command -v node ;;
	ca-certificates) [ -e /etc/ssl/certs/ca-certificates.crt ] ;;
	iproute2) command -v ss && command -v ip ;;
	bpftool) bpftool version ;;
	grafana) command -v grafana || command -v grafana-server ;;
	chromium) command -v chromium || command -v chromium-browser || command -v google-chrome ;;
	*) command -v "$1" ;;
	esac >/dev/null 2>&1
}

# Prints the missing packages, one per line.
missing() {
	local package
	for package in "$@"; do
		have "$package" || printf '%s\n' "$package"
	done
}

packages_for() {
	printf '%s\n' python3 python3-venv python3-bpfcc python3-numpy prometheus ca-certificates
	case $1 in
	test) printf '%s\n' gcc libc6-dev iproute2 bpftool openssl prometheus-alertmanager chromium nodejs npm jsonnet mandoc ;;
	check) printf '%s\n' gcc libc6-dev shellcheck openssl prometheus-alertmanager nodejs npm jsonnet mandoc ;;
	esac
}

os_release() {
	# shellcheck source=/dev/null
	[ -r /etc/os-release ] && . /etc/os-release && printf '%s' "${!1:-}"
}

is_debian_like() {
	command -v apt-get >/dev/null &&
		[[ " $(os_release ID) $(os_release ID_LIKE) " =~ " "(debian|ubuntu)" " ]]
}

# Other programs (updates of a fresh machine) may hold the lock of the package lists: wait for them.
update_lists() {
	local try
	for try in 1 2 3; do
		apt-get update -q && return
		say "apt-get update failed (try $try of 3)"
		sleep "$((try % 3 * 5))"
	done
	fail "the package lists cannot be read: see the messages of apt-get above"
}

# bpftool is a separate package, or a part of the kernel's tools (Ubuntu 24.04).
bpftool_package() {
	local name
	for name in bpftool "linux-tools-$(uname -r)"; do
		if [ -n "$(apt-cache show "$name" 2>/dev/null)" ]; then
			printf '%s\n' "$name"
			return
		fi
	done
}

# Ubuntu has Chromium only as a snap, which is not installed here.
chromium_package() {
	[ -z "$(apt-cache show chromium 2>/dev/null)" ] || printf 'chromium\n'
}

# stop_packaged SERVICE [PACKAGE]: packages start their services, on the ports that `make run`
# wants.
stop_packaged() {
	if [ -d /run/systemd/system ]; then
		systemctl disable --now --quiet "$1.service" ||
			fail "the service that the new package ${2:-$1} started cannot be stopped"
	else
		service "$1" stop >/dev/null 2>&1 || true
		update-rc.d "$1" disable >/dev/null 2>&1 || true
	fi
	say "the new package ${2:-$1} started its service: stopped and disabled" \
		"(make run starts another one; systemctl enable --now $1 undoes this)"
}

install_packages() {
	local wanted=("$@") services=() service
	for service in prometheus prometheus-alertmanager; do
		have "$service" || services+=("$service")
	done
	say "installing: ${wanted[*]}"
	update_lists
	local names=() package
	for package in "${wanted[@]}"; do
		[ "$package" = bpftool ] && package=$(bpftool_package)
		[ "$package" = chromium ] && package=$(chromium_package)
		[ -z "$package" ] || names+=("$package")
	done
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
		-o DPkg::Lock::Timeout=300 "${names[@]}" 9>&- ||
		fail "apt-get could not install: ${names[*]}" \
			"  (Ubuntu has some of them in 'universe': add-apt-repository universe)"
	for service in "${services[@]}"; do
		! have "$service" || stop_packaged "$service"
	done
}

ensure_packages() {
	local wanted still
	mapfile -t wanted < <(packages_for "$1")
	mapfile -t still < <(missing "${wanted[@]}")
	[ ${#still[@]} -gt 0 ] || return 0
	is_debian_like ||
		fail "this is $(os_release PRETTY_NAME): this script sets up only Debian and Ubuntu." \
			"Install the contents of these Debian packages by hand: ${still[*]}"
	[ "$(id -u)" = 0 ] ||
		fail "not root, and packages are missing. Run it as root, or install them first:" \
			"  apt-get install --no-install-recommends ${still[*]}"
	install_packages "${still[@]}"
	mapfile -t still < <(missing "${wanted[@]}")
	for package in "${still[@]}"; do
		case $package in
		bpftool) say "no bpftool for kernel $(uname -r) here: tests that need it are skipped" ;;
		chromium) say "no Chromium can be installed here: the tests of the live page are skipped" ;;
		python3) fail "$(os_release PRETTY_NAME) has $("$DISTRIBUTION_PYTHON" -V): fdscope needs 3.11" ;;
		python3-bpfcc) fail "python3-bpfcc is installed, but Python finds another 'bcc' or none:" \
			"  $("$DISTRIBUTION_PYTHON" -I -c 'from bcc import BPF' 2>&1 | tail -n 1)" ;;
		*) fail "$package is installed, but its contents are not found" ;;
		esac
	done
}

# A Grafana for `make run`, from its own repository; without one, it goes on.
ensure_grafana() {
	if [ "${FDSCOPE_GRAFANA:-}" = no ] || [ -n "${GRAFANA_HOME:-}" ] || have grafana ||
		! is_debian_like; then
		return 0
	fi
	if grep -qsxE 'grafana|grafana-server' /proc/[0-9]*/comm; then
		say "a Grafana that is not on PATH runs here: it is not changed, and none is installed" \
			"(docs/dashboards.md says how to give it the dashboards)"
		return 0
	fi
	say "no Grafana is installed: trying its package repository, $GRAFANA_URL" \
		"(FDSCOPE_GRAFANA=no skips this)"
	if ! add_grafana_repository >/dev/null; then
		say "that repository cannot be reached, or has no Grafana for this machine: going on without"
	elif ! DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
		-o DPkg::Lock::Timeout=60 -o Acquire::Retries=1 grafana 9>&-; then
		say "apt-get could not install grafana: going on without"
	else
		(stop_packaged grafana-server grafana) || true
	fi
}
