# SPDX-License-Identifier: GPL-2.0-only
"""Filesystems behind the files, and devices behind these."""

from fdscope.exporter.catalog.model import DIRECTION, FD_TYPE, Kind, Label, Metric

FILESYSTEM = Label("filesystem", "type of the filesystem, e.g. ext4, tmpfs, proc")
DEVICE = Label("device", "name of the device, e.g. lo, eth0, vda", ambiguous=True)
NETWORK_KIND = Label("kind", "what the device is", ("loopback", "nic", "virtual"), ambiguous=True)

FILESYSTEM_READ_BYTES = Metric(
    "fdscope_filesystem_read_bytes_total",
    Kind.COUNTER,
    "Bytes read at the file layer, of the whole host, by the filesystem behind the file.",
    (FILESYSTEM, FD_TYPE),
)
FILESYSTEM_WRITTEN_BYTES = Metric(
    "fdscope_filesystem_written_bytes_total",
    Kind.COUNTER,
    "Bytes written at the file layer, of the whole host, by the filesystem behind the file.",
    (FILESYSTEM, FD_TYPE),
)
NETWORK_RECEIVED_BYTES = Metric(
    "fdscope_network_device_received_bytes_total",
    Kind.COUNTER,
    "Bytes received on a network device of the exporter's network namespace, headers included, as"
    " reported by the device, for all processes.",
    (DEVICE, NETWORK_KIND),
)
NETWORK_SENT_BYTES = Metric(
    "fdscope_network_device_sent_bytes_total",
    Kind.COUNTER,
    "Bytes sent on a network device of the exporter's network namespace, headers included, as"
    " reported by the device, for all processes.",
    (DEVICE, NETWORK_KIND),
)
BLOCK_READ_BYTES = Metric(
    "fdscope_block_device_read_bytes_total",
    Kind.COUNTER,
    "Bytes read from a block device, as reported by it, for all processes; partitions are not"
    " listed. A device on top of others (dm, md, loop) counts again what they count.",
    (DEVICE,),
)
BLOCK_WRITTEN_BYTES = Metric(
    "fdscope_block_device_written_bytes_total",
    Kind.COUNTER,
    "Bytes written to a block device, as reported by it, for all processes; partitions are not"
    " listed. A device on top of others (dm, md, loop) counts again what they count.",
    (DEVICE,),
)
SOCKET_STACKS = Metric(
    "fdscope_socket_stack_samples_total",
    Kind.COUNTER,
    "Sampled kernel stacks between the socket layer and the door (only with --probe.stacks).",
    (
        FD_TYPE,
        DIRECTION,
        Label("path", "functions from the door down to the socket layer, or (other)"),
    ),
)
