#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# In a guest that has never booted, with deploy/install/cloud-init.yaml as its user-data: cloud-init alone
# installs everything; look at what it made.

# shellcheck source=tests/vm/guest/checks.sh
. /var/lib/lab/checks.sh

wait_for 900 'cloud-init has ended' test -e /var/lib/cloud/instance/boot-finished
cat /var/log/cloud-init-output.log
check 'it took the user-data' cloud-init schema --system
check 'it made no error' cloud-init status --wait --long
check 'the service is active' systemctl is-active fdscope.service
check 'the service is enabled' systemctl is-enabled fdscope.service
check "in $MODE mode" in_mode "$MODE"
check 'the self-test is exact' self_test_exact
check 'no capability is left' no_capability
check 'it may read maps undisturbed' reads_maps_undisturbed
wait_for 120 'Prometheus has the target up' up_in_prometheus
check 'Alertmanager is ready' curl -sSf -m 10 http://127.0.0.1:9093/-/ready
end 0
