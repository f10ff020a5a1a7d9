# SPDX-License-Identifier: GPL-2.0-only
"""The table of maps against the C text that uses them and the session that reads them."""

import itertools
import re
import subprocess
from pathlib import Path

import pytest

from fdscope.probes import read
from fdscope.probes.attach import maps, source
from fdscope.probes.attach.settings import Settings
from fdscope.probes.schema.records import RECORDS, dtype
from fdscope.probes.schema.taxonomy import Mode

_USED = re.compile(r"\b(\w+)\.(?:lookup|update|insert|delete|call|get_stackid|ringbuf_reserve)\(")
_OPENED = re.compile(r'\bopened\.(?:descriptor|hash_map|per_cpu_array)\(\s*"(\w+)"')
HELD_OPEN = {"tail_calls", "census_calls"}
"""The kernel empties them when their last descriptor is closed."""


def used(mode: Mode, settings: Settings) -> set[str]:
    """Names of the maps that the programs of a configuration use."""
    text = source.defines(mode, settings) + source.joined(source.PROGRAMS[mode])
    # Of the census, paths and cells, which some kernels do not have.
    have = ("-DOFFSET_proc_inode_pid=0", "-DOFFSET_mount_mnt=0", "-DRDONLY_CAST=0")
    command = ["cc", "-E", "-P", *have, "-xc", "-"]
    found = _USED.findall(subprocess.check_output(command, input=text, text=True))
    addresses = maps.ADDRESSES if settings.spotlight else ()
    return {*found, *(name for name in addresses if name.upper() in text)}


@pytest.mark.parametrize(
    ("mode", "settings"),
    list(
        itertools.product(
            Mode,
            (
                Settings(),
                Settings(latency=True),
                Settings(stacks_every=1),
                Settings(journal=True),
                Settings(spotlight=True),
            ),
        )
    ),
)
def test_each_configuration_has_the_maps_that_its_programs_use(
    mode: Mode, settings: Settings
) -> None:
    in_table = {each.name for each in maps.declared(mode, settings)}
    in_c = used(mode, settings)
    assert not in_c - in_table, "add these to probes/attach/maps.py, for this configuration"
    assert not in_table - in_c, "no program uses these: remove them from probes/attach/maps.py"


def test_each_map_that_is_handed_over_is_read() -> None:
    texts = [path.read_text() for path in Path(read.__path__[0]).glob("*.py")]
    opened = {name for text in texts for name in _OPENED.findall(text)}
    handed_over = {each.name for each in maps.MAPS if each.handed_over}
    assert not opened - handed_over, "say handed_over=True of these in probes/attach/maps.py"
    assert handed_over - opened == HELD_OPEN, "probes/read/session.py opens all but these"


def test_names_are_unique() -> None:
    names = [each.name for each in maps.MAPS]
    assert len(set(names)) == len(names)


def test_each_record_is_of_use() -> None:
    of_maps = {name for each in maps.MAPS for name in (each.key, each.value)}
    inside = {of.removeprefix("struct ") for fields in RECORDS.values() for _, of in fields}
    assert not RECORDS.keys() - of_maps - inside, "no map has these: remove them from records.py"


@pytest.mark.parametrize("preempted", [False, True])
def test_declarations(preempted: bool) -> None:
    settings = Settings(pending_entries=7)
    lines = maps.declarations(Mode.KPROBE, settings, preempted, has_cells=False).splitlines()
    assert 'BPF_TABLE("hash", struct call_key, struct call, calls, 7);' in lines
    kind = "lru_hash" if preempted else "percpu_array"
    size = maps.RECENT_ENTRIES if preempted else 1
    assert f'BPF_TABLE("{kind}", u32, struct fd_walk, fd_walks, {size});' in lines
    assert not any("syscalls" in line for line in lines)


def cells(settings: Settings, has_cells: bool) -> int:
    """How many cells a configuration has."""
    text = maps.declarations(Mode.FENTRY, settings, preempted=False, has_cells=has_cells)
    (found,) = re.findall(
        r'^BPF_F_TABLE\("array", u32, struct cell, cells, (\d+), 1024\);', text, re.M
    )
    return int(found)


def test_cells_for_each_cpu() -> None:
    assert cells(Settings(), has_cells=True) == 4096 * maps.cell_stripes()
    assert cells(Settings(counter_entries=4096), has_cells=True) == 512 * maps.cell_stripes()
    assert cells(Settings(), has_cells=False) == 1, "as small as can be where no program uses it"
    assert not maps.cell_bits(Settings(counter_entries=4095))


def test_integers_have_a_layout() -> None:
    assert [dtype(name).itemsize for name in ("u8", "u32", "s32", "int", "u64")] == [1, 4, 4, 4, 8]
