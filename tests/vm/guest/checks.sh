# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
# Shared by the stories of guests with systemd; only the line "@@EXIT n" is the result.
# shellcheck disable=SC2034  # they use it

LAB=/var/lib/lab
METRICS=http://127.0.0.1:20253/metrics
MODE=$(cat "$LAB/mode")
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
stty -F /dev/ttyS1 raw -echo

end() {
	echo "@@EXIT $1"
	sleep 1
	systemctl poweroff --force --force
	exit
}

fail() {
	echo "@@FAILED $1"
	systemctl --no-pager --full status fdscope.service
	journalctl --no-pager -u fdscope.service -n 60
	end 1
}

# check WHAT COMMAND...: the command must succeed
check() {
	what=$1
	shift
	if "$@" >/tmp/said 2>&1; then
		echo "@@$(cut -d ' ' -f 1 /proc/uptime) ok: $what"
	else
		cat /tmp/said
		fail "$what"
	fi
}

# wait_for SECONDS WHAT COMMAND...: it must succeed within that time
wait_for() {
	limit=$1
	what=$2
	shift 2
	tries=0
	until "$@" >/tmp/said 2>&1; do
		tries=$((tries + 1))
		[ "$tries" -lt "$limit" ] || { cat /tmp/said && fail "$what"; }
		sleep 1
	done
	echo "@@$(cut -d ' ' -f 1 /proc/uptime) ok: $what"
}

shows() {
	curl -sS -m 30 "$METRICS" | grep -E "$1"
}

main_pid() {
	systemctl show -p MainPID --value fdscope.service
}

up_in_prometheus() {
	curl -sS -m 10 -G http://127.0.0.1:9090/api/v1/query --data-urlencode 'query=up{job="fdscope"}' |
		grep -F ',"1"]'
}

in_mode() {
	shows "^fdscope_attach_mode\\{mode=\"$1\"\\} 1"
}

self_test_exact() {
	journalctl -b "_PID=$(main_pid)" | grep -E 'self-test: ([0-9]+) of \1 rows'
}

# No capability is left, and the user is the service's own.
no_capability() {
	pid=$(main_pid)
	cat "/proc/$pid/status"
	grep -qE '^CapEff:\s0000000000000000$' "/proc/$pid/status" &&
		grep -qE '^CapPrm:\s0000000000000000$' "/proc/$pid/status" &&
		[ "$(stat -c %U "/proc/$pid")" = fdscope ]
}

# It uses real-time priority while it reads a map, and the unit allows that.
reads_maps_undisturbed() {
	calls=/sys/kernel/tracing/events/syscalls/sys_exit_sched_setscheduler/enable
	echo 1 >$calls
	shows '^fdscope_build_info'
	echo 0 >$calls
	cat /sys/kernel/tracing/trace >/tmp/trace
	cat /tmp/trace
	grep -q 'sched_setscheduler -> 0x0$' /tmp/trace && ! grep -q 'sched_setscheduler -> 0xf' /tmp/trace
}

no_run_was_missed() {
	shows '^fdscope_probe_missed_runs_total' >/tmp/missed && ! grep ' [1-9]' /tmp/missed
}
