# SPDX-License-Identifier: GPL-2.0-only
"""Names of programs that do by design what is unusual for others.

The alerts have the same lists (dashboards/alerting/defaults.toml); a test compares them.
A ``*`` stands for anything.
"""

from fnmatch import fnmatchcase

SHELLS = (
    "sh", "ash", "bash", "dash", "rbash", "zsh", "ksh*", "mksh", "pdksh", "fish", "csh", "tcsh",
    "busybox", "pwsh", "python*", "pypy*", "perl*", "ruby*", "irb", "node", "nodejs", "php*",
    "lua*", "tclsh*", "expect", "awk", "gawk", "mawk", "nc", "nc.*", "ncat", "netcat", "telnet",
)  # fmt: skip
"""Shells and interpreters, and tools that connect one to a socket."""
STDIO = ("inetd", "xinetd", "sshd*", "socat*", "tcpserver", "php-fpm*", "php-cgi*")
"""Programs whose standard fds are sockets by design."""
STDIO_UNITS = (
    "inetd.service", "xinetd.service", "openbsd-inetd.service", "inetutils-inetd.service",
    "*@*-*:*-*:*.service",
)  # fmt: skip
"""Units that hand a connection to a program as its standard fds."""
CAPTURE = (
    "tcpdump", "dumpcap", "tshark", "wireshark", "dhclient", "dhcpcd*", "udhcpc", "dhcpd",
    "kea-dhcp4", "NetworkManager", "systemd-network", "(networkd)", "wpa_supplicant", "hostapd",
    "iwd", "lldpd", "lldpad", "arping", "arpwatch", "keepalived", "avahi-autoipd",
    "suricata", "snort", "zeek",
)  # fmt: skip
DEBUG = (
    "gdb", "gdbserver", "lldb*", "strace", "ltrace", "rr", "dlv", "criu", "eu-stack", "gcore",
    "systemd-coredum", "apport", "abrt*", "crashpad_handle",
)  # fmt: skip
SERVICE_MANAGER = ("systemd", "(*)")
"""systemd before it executes the program of a unit, whose name it then has in parentheses."""
DISKS = (
    "systemd-udevd", "(udev-worker)", "udevd", "udisksd", "blkid", "lsblk", "mount*", "umount*",
    "fsck*", "e2fsck", "xfs_*", "mkfs*", "mke2fs", "mkswap", "swapon", "resize2fs", "tune2fs",
    "fdisk", "sfdisk", "cfdisk", "parted", "partprobe", "lvm*", "vgchange", "pvscan", "dmsetup",
    "dmeventd", "mdadm", "cryptsetup", "multipathd", "smartctl", "smartd", "hdparm", "nvme",
    "grub-*", "growpart", "qemu*", "cloud-hyperviso", "zpool", "zfs", "zed", "btrfs", "ceph-osd",
    "systemd-gpt-aut", "systemd-fsck", "systemd-growfs", "snapd", "losetup", "multipath",
)  # fmt: skip
"""Programs that work on disks below the filesystem."""
MEMORY = ("dmidecode", "biosdecode", "vpddecode", "Xorg", "lshw", "hwinfo", "flashrom", "hwclock")
"""Programs that read the tables of the firmware, or program devices, through /dev/mem."""
CLONED = ("memfd:runc_cloned:*", "memfd:crun_cloned:*", "memfd:lxc-*")
"""Memfds of container engines, which execute a copy of themselves."""


def is_one_of(name: str, patterns: tuple[str, ...]) -> bool:
    """True if the name fits one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
