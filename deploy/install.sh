#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Sets up a whole machine: fdscope, Prometheus, Alertmanager and Grafana, all on 127.0.0.1.
#   install.sh [--deb FILE] [--no-grafana]    safe to run again: what is as it should be stays
#                                             (FDSCOPE_OFFLINE=1: with the package lists at hand)
#   install.sh --uninstall                    takes back what it has changed, and nothing else

set -euo pipefail

readonly STATE=/var/lib/fdscope-install
readonly SHARE=/usr/share/fdscope
readonly UNITS=/etc/systemd/system
readonly GRAFANA_KEY=/etc/apt/keyrings/grafana.asc
readonly GRAFANA_URL=https://apt.grafana.com

DEB='' WITH_GRAFANA=yes UNINSTALL=no
declare -A RESTART=()

say() {
	printf 'install: %s\n' "$*"
}

fail() {
	printf 'install: error: %s\n' "$@" >&2
	exit 1
}

apt_get() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Installs packages, and notes those that come in with them for --uninstall.
install_packages() {
	local before after
	before=$(dpkg-query -W -f '${Package}\n' | sort)
	say "installing: $*"
	apt_get install --no-install-recommends "$@" >/dev/null ||
		fail "apt-get could not install $*: run it by hand to see why"
	after=$(dpkg-query -W -f '${Package}\n' | sort)
	comm -13 <(printf '%s\n' "$before") <(printf '%s\n' "$after") >>"$STATE/packages"
}

# put FILE SERVICE: gives FILE the text of standard input, and has SERVICE restarted if that is new.
# What was there before is kept for --uninstall.
put() {
	local file=$1 text
	text=$(cat)
	[ "$(cat "$file" 2>/dev/null)" != "$text" ] || return 0
	if ! grep -qxF "$file" "$STATE/files" 2>/dev/null; then
		if [ -e "$file" ]; then
			install -D -p "$file" "$STATE/before$file"
		fi
		printf '%s\n' "$file" >>"$STATE/files"
	fi
	say "writing $file"
	mkdir -p "$(dirname "$file")"
	printf '%s\n' "$text" >"$file"
	chmod 0644 "$file"
	[ -z "${2:-}" ] || RESTART[$2]=yes
}

# True if a configuration file is ours, or as its package brought it.
may_replace() {
	local sum
	[ -e "$1" ] && ! grep -qxF "$1" "$STATE/files" 2>/dev/null || return 0
	sum=$(dpkg-query -W -f '${Conffiles}\n' "$2" | awk -v file="$1" '$1 == file { print $2 }')
	[ "$(md5sum <"$1" | cut -d ' ' -f 1)" = "$sum" ]
}

install_fdscope() {
	local here
	here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
	if [ -z "$DEB" ]; then
		DEB=$({ find "$here/../build" "$here" -maxdepth 1 -name 'fdscope_*.deb' 2>/dev/null || true; } |
			sort -V | tail -n 1)
	fi
	if [ -n "$DEB" ]; then
		[ -e "$DEB" ] || fail "there is no $DEB"
		if installed fdscope && [ "$(sha256sum <"$DEB")" = "$(cat "$STATE/deb" 2>/dev/null)" ]; then
			return 0
		fi
		install_packages --reinstall "$(readlink -f "$DEB")"
		sha256sum <"$DEB" >"$STATE/deb"
	fi
	installed fdscope || fail "fdscope is not installed: build it (make deb), and name it with --deb"
}

install_prometheus() {
	local wanted=() package
	for package in prometheus prometheus-alertmanager; do
		installed "$package" || wanted+=("$package")
	done
	[ ${#wanted[@]} = 0 ] || install_packages "${wanted[@]}"
	if may_replace /etc/prometheus/prometheus.yml prometheus; then
		sed "s|- rules/|- $SHARE/rules/|" "$SHARE/prometheus.yml" |
			put /etc/prometheus/prometheus.yml prometheus
		loopback_only prometheus '--web.listen-address=127.0.0.1:9090'
	else
		say "/etc/prometheus/prometheus.yml is not the package's own and stays as it is; add:"
		sed 's/^/    /' "$SHARE/prometheus.yml"
	fi
	if may_replace /etc/prometheus/alertmanager.yml prometheus-alertmanager; then
		put /etc/prometheus/alertmanager.yml prometheus-alertmanager <"$SHARE/alertmanager.yml"
		loopback_only prometheus-alertmanager \
			'--web.listen-address=127.0.0.1:9093 --cluster.listen-address='
	else
		say "/etc/prometheus/alertmanager.yml is not the package's own and stays as it is"
	fi
}

# Debian's packages listen on every address.
loopback_only() {
	put "$UNITS/$1.service.d/fdscope.conf" "$1" <<-END
		[Service]
		ExecStart=
		ExecStart=/usr/bin/$1 \$ARGS $2
	END
}

# Grafana is in no Debian: its makers have an archive of their own.
add_grafana_archive() {
	local key
	[ -z "$(apt-cache show grafana 2>/dev/null)" ] || return 0
	key=$(curl -fsSL --max-time 30 "$GRAFANA_URL/gpg.key") || return 1
	put "$GRAFANA_KEY" <<<"$key"
	put /etc/apt/sources.list.d/grafana.list <<<"deb [signed-by=$GRAFANA_KEY] $GRAFANA_URL stable main"
	apt_get update >/dev/null || return 1
	[ -n "$(apt-cache show grafana 2>/dev/null)" ]
}

install_grafana() {
	if ! installed grafana; then
		if ! add_grafana_archive; then
			say "Grafana's archive ($GRAFANA_URL) cannot be reached from here: NO GRAFANA IS INSTALLED." \
				"The dashboards are in $SHARE/grafana; run this again once it can be reached."
			return 0
		fi
		install_packages grafana
	fi
	put /etc/grafana/provisioning/datasources/fdscope.yml grafana-server \
		<"$SHARE/grafana/provisioning/datasources/prometheus.yml"
	put /etc/grafana/provisioning/dashboards/fdscope.yml grafana-server \
		<"$SHARE/grafana/provisioning/dashboards/fdscope.yml"
	put "$UNITS/grafana-server.service.d/fdscope.conf" grafana-server <<-END
		[Service]
		Environment=GF_SERVER_HTTP_ADDR=127.0.0.1 PROMETHEUS_URL=http://127.0.0.1:9090
		Environment=FDSCOPE_DASHBOARDS=$SHARE/grafana/dashboards
	END
}

start_services() {
	local service services=(fdscope prometheus prometheus-alertmanager)
	! installed grafana || services+=(grafana-server)
	systemctl daemon-reload
	for service in "${services[@]}"; do
		systemctl is-enabled --quiet "$service" || {
			say "enabling $service"
			systemctl enable --quiet "$service"
		}
		if [ "${RESTART[$service]:-}" = yes ]; then
			say "restarting $service"
			systemctl restart "$service"
		else
			systemctl start "$service"
		fi
	done
}

# True once Prometheus has scraped fdscope.
scraped() {
	curl -fsS --max-time 5 -G http://127.0.0.1:9090/api/v1/query \
		--data-urlencode 'query=up{job="fdscope"} == 1' 2>/dev/null | grep -qF ',"1"]'
}

report() {
	local try
	for try in $(seq 60); do
		! scraped || break
		[ "$try" != 60 ] || fail 'Prometheus has not scraped fdscope within a minute:' \
			'  see http://127.0.0.1:9090/targets and journalctl -u fdscope'
		sleep 1
	done
	say 'done. On this machine (all listen on 127.0.0.1; from elsewhere use ssh -L):'
	say '  fdscope      http://127.0.0.1:20253/'
	say '  Prometheus   http://127.0.0.1:9090/'
	say '  Alertmanager http://127.0.0.1:9093/'
	! installed grafana || say '  Grafana      http://127.0.0.1:3000/ (admin, admin: it asks for a new password)'
}

uninstall() {
	local file packages
	[ -d "$STATE" ] || {
		say 'nothing to undo: it was not run here'
		return 0
	}
	while read -r file; do
		if [ -e "$STATE/before$file" ]; then
			say "putting back $file"
			cp -p "$STATE/before$file" "$file"
		else
			say "removing $file"
			rm -f "$file"
			rmdir --ignore-fail-on-non-empty "$(dirname "$file")" 2>/dev/null || true
		fi
	done < <(cat "$STATE/files" 2>/dev/null)
	mapfile -t packages < <(sort -u "$STATE/packages" 2>/dev/null)
	if [ ${#packages[@]} -gt 0 ]; then
		say "purging what it had installed: ${packages[*]}"
		apt_get purge "${packages[@]}" >/dev/null
	fi
	systemctl daemon-reload
	for file in prometheus prometheus-alertmanager grafana-server; do
		systemctl try-restart "$file" 2>/dev/null || true
	done
	rm -r "$STATE"
	say 'undone'
}

main() {
	while [ $# -gt 0 ]; do
		case $1 in
		--deb) DEB=${2:?--deb needs a file} && shift ;;
		--no-grafana) WITH_GRAFANA=no ;;
		--uninstall) UNINSTALL=yes ;;
		*) fail "unknown: $1. usage: install.sh [--deb FILE] [--no-grafana] | --uninstall" ;;
		esac
		shift
	done
	[ "$(id -u)" = 0 ] || fail 'not root: start it with sudo'
	[ -d /run/systemd/system ] || fail 'systemd does not run here; for containers see compose.yaml'
	command -v apt-get >/dev/null || fail 'only Debian and Ubuntu are set up by this script'
	if [ $UNINSTALL = yes ]; then
		uninstall
		return
	fi
	mkdir -p "$STATE"
	if [ -z "${FDSCOPE_OFFLINE:-}" ]; then
		apt_get update >/dev/null || fail 'the package lists cannot be read: run apt-get update'
	fi
	installed curl || install_packages curl ca-certificates
	install_fdscope
	install_prometheus
	[ $WITH_GRAFANA = no ] || install_grafana
	start_services
	report
}

main "$@"
