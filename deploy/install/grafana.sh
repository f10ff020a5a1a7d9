# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Grafana's own package repository, for setup.sh and install.sh: no Debian has the package.
# FDSCOPE_GRAFANA_REPOSITORY sets another address, e.g. of a mirror.

readonly GRAFANA_URL=${FDSCOPE_GRAFANA_REPOSITORY:-https://apt.grafana.com}
readonly GRAFANA_SECONDS=5

grafana_is_known() {
	[ -n "$(apt-cache show grafana 2>/dev/null)" ]
}

# Fetches the key that signs the repository to a file: apt's own way, with apt's proxies.
fetch_grafana_key() {
	timeout --kill-after=1 "$GRAFANA_SECONDS" /usr/lib/apt/apt-helper -qq -o Acquire::Retries=0 \
		download-file "$GRAFANA_URL/gpg.key" "$1" >/dev/null 2>&1
}

# Adds the repository to apt, and prints the files written for it, one per line. If it cannot be
# reached, which is known after seconds, nothing is left behind.
add_grafana_repository() {
	local apt parts key list line
	! grafana_is_known || return 0
	eval "$(apt-config shell apt Dir::Etc/d parts Dir::Etc::sourceparts/d)"
	key=${apt}keyrings/grafana.asc list=${parts}grafana.list
	line="deb [signed-by=$key] $GRAFANA_URL stable main"
	# A list that somebody else wrote is not changed.
	[ ! -e "$list" ] || [ "$(cat "$list")" = "$line" ] || return 1
	mkdir -p "${key%/*}"
	if fetch_grafana_key "$key"; then
		chmod 0644 "$key"
		printf '%s\n' "$line" >"$list"
		apt-get -qq -o Acquire::Retries=0 -o Acquire::http::Timeout="$GRAFANA_SECONDS" \
			-o Acquire::https::Timeout="$GRAFANA_SECONDS" update >/dev/null 2>&1 || true
	fi
	if ! grafana_is_known; then
		rm -f "$key" "$list"
		return 1
	fi
	printf '%s\n' "$key" "$list"
}
