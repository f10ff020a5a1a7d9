# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The changes of install.sh to a machine, and their undoing; sourced by it.
# In STATE: `packages` that were installed, `files` that were written, `before`: their old contents.

declare -A RESTART=()

needs_restart() {
	[ "${RESTART[$1]:-}" = yes ]
}

apt_get() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Installs packages, and records them and their dependencies for --uninstall.
install_packages() {
	local before after
	before=$(dpkg-query -W -f '${Package}\n' | sort)
	say "installing: $*"
	apt_get install --no-install-recommends "$@" >/dev/null ||
		fail "apt-get could not install $*: run it by hand to see why"
	after=$(dpkg-query -W -f '${Package}\n' | sort)
	comm -13 <(printf '%s\n' "$before") <(printf '%s\n' "$after") >>"$STATE/packages"
}

# put FILE SERVICE: writes standard input to FILE, and has SERVICE restarted if that is a change.
# The old content is kept for --uninstall.
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

# True if a configuration file is ours, or unchanged since its package was installed.
may_replace() {
	local sum
	[ -e "$1" ] && ! grep -qxF "$1" "$STATE/files" 2>/dev/null || return 0
	sum=$(dpkg-query -W -f '${Conffiles}\n' "$2" | awk -v file="$1" '$1 == file { print $2 }')
	[ "$(md5sum <"$1" | cut -d ' ' -f 1)" = "$sum" ]
}

# Undoes what `packages` and `files` record.
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
			case $file in
			*.service.d/*) rmdir --ignore-fail-on-non-empty "${file%/*}" 2>/dev/null || true ;;
			esac
		fi
	done < <(cat "$STATE/files" 2>/dev/null)
	mapfile -t packages < <(sort -u "$STATE/packages" 2>/dev/null)
	if [ ${#packages[@]} -gt 0 ]; then
		say "purging the packages it installed: ${packages[*]}"
		apt_get purge "${packages[@]}" >/dev/null
	fi
	systemctl daemon-reload
	for file in prometheus prometheus-alertmanager grafana-server; do
		systemctl try-restart "$file" 2>/dev/null || true
	done
	rm -r "$STATE"
	say 'undone'
}
