#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Sets up a whole machine: fdscope, Prometheus, Alertmanager and Grafana, all on 127.0.0.1.
#   install.sh [--deb FILE] [--no-grafana]    safe to run again: it changes only what differs
#                                             (FDSCOPE_OFFLINE=1: with the package lists at hand)
#   install.sh --uninstall                    undoes its changes, and nothing else

set -euo pipefail

readonly STATE=/var/lib/fdscope-install
readonly SHARE=/usr/share/fdscope
readonly UNITS=/etc/systemd/system

DEB='' WITH_GRAFANA=${FDSCOPE_GRAFANA:-yes} UNINSTALL=no

say() {
	printf 'install: %s\n' "$*"
}

fail() {
	printf 'install: error: %s\n' "$@" >&2
	exit 1
}

HERE=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# shellcheck source=deploy/install/changes.sh
. "$HERE/changes.sh"
# shellcheck source=deploy/install/grafana.sh
. "$HERE/grafana.sh"

# Packages of root or the owner of this script, in folders where nobody else can write.
packages_nearby() {
	local folder safe=(\( -user root -o -user "$(stat -c %U "$HERE/install.sh")" \) ! -perm /o+w)
	for folder in "$HERE/../../build" "$HERE"; do
		if [ -n "$(find "$folder" -maxdepth 0 "${safe[@]}" 2>/dev/null)" ]; then
			find "$folder" -maxdepth 1 -type f -name 'fdscope_*.deb' "${safe[@]}"
		fi
	done
}

install_fdscope() {
	if [ -z "$DEB" ]; then
		DEB=$(packages_nearby | sort -V | tail -n 1)
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

install_grafana() {
	if ! installed grafana; then
		if ! add_grafana_repository >>"$STATE/files"; then
			say "Grafana's repository ($GRAFANA_URL) cannot be reached from here: NO GRAFANA IS INSTALLED." \
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
		if needs_restart "$service"; then
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
	[ "$WITH_GRAFANA" = no ] || install_grafana
	start_services
	report
}

main "$@"
