#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# In a guest of the lab: the soak in each attach mode, for so many minutes each.
# An emulated processor does less: what it does is counted all the same.

worst=0
for mode in fentry kprobe tracepoint; do
	echo "@@MODE $mode started"
	python3 -m tests.scorecard soak --mode "$mode" --minutes "$1" --operations 4000 \
		--births 50 --every 10 --out /reports
	status=$?
	echo "@@MODE $mode ended $status"
	[ "$status" -eq 0 ] || worst=1
done
exit $worst
