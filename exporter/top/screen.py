# SPDX-License-Identifier: GPL-2.0-only
"""The screen of ``fdscope top``: all processes, the files of one, one file.

The only module that imports urwid.
"""

import os
import select
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import urwid

from fdscope.exporter.spotlight.report import Document, duration, number, shown_name, with_peers
from fdscope.exporter.top.feed import Feed, Look, ProcessFiles
from fdscope.exporter.top.rates import (
    FileLine,
    Line,
    Moved,
    OfType,
    Order,
    Sheet,
    file_types,
    kind_of,
    shares,
    short,
)
from fdscope.probes.schema.taxonomy import FdKind, FdType
from fdscope.probes.text import printable

if TYPE_CHECKING:
    from fdscope.exporter.spotlight.lens import Lens

LEAST = (80, 24)
"""Columns and rows."""
WIDE = 110
"""Columns from which more is shown."""

Piece = tuple[str, str] | str
Markup = list[Piece]

_KINDS = {
    # letter, colour on dark, colour on light
    FdKind.TCP: ("T", "light blue", "dark blue"),
    FdKind.UDP: ("U", "light cyan", "dark cyan"),
    FdKind.UNIX: ("X", "light magenta", "dark magenta"),
    FdKind.SOCKET: ("S", "yellow", "black"),
    FdKind.FILE: ("F", "light green", "dark green"),
    FdKind.PIPE: ("P", "brown", "brown"),
    FdKind.DEVICE_FILE: ("D", "light red", "dark red"),
    FdKind.EVENT: ("E", "light gray", "dark gray"),
}


def palette(theme: str) -> list[tuple[str, str, str, str]]:
    """Names of attributes to their colours, and to what a terminal without colours shows.

    The background is the terminal's own, except where something stands out.
    """
    light = theme == "light"
    quiet = "dark gray" if light else "light gray"
    return [
        ("title", "standout", "default", "standout"),
        ("head", "bold,underline", "default", "bold,underline"),
        ("focus", "standout", "default", "standout"),
        ("key", "bold", "default", "bold"),
        ("quiet", quiet, "default", "default"),
        ("error", "dark red,bold" if light else "light red,bold", "default", "bold"),
        *(
            (kind.label, on_light if light else on_dark, "default", "default")
            for kind, (_, on_dark, on_light) in _KINDS.items()
        ),
    ]


# Text of a given width.


def fit(text: str, width: int, right: bool = False, tail: bool = False) -> str:
    """Cut or fill a text to a number of columns; ``tail``: its end is kept."""
    size = urwid.calc_width(text, 0, len(text))
    if size > width:
        if tail:
            start = len(text)
            while start and urwid.calc_width(text, start - 1, len(text)) < width:
                start -= 1
            text = "…" + text[start:]
        else:
            end, _ = urwid.calc_text_pos(text, 0, len(text), max(width - 1, 0))
            text = text[:end] + "…" * (width > 0)
        size = urwid.calc_width(text, 0, len(text))
    space = " " * (width - size)
    return f"{space}{text}" if right else f"{text}{space}"


def between_ends(left: str, right: str, width: int) -> str:
    """Two texts at both ends of a line; the left one is cut."""
    room = width - urwid.calc_width(right, 0, len(right)) - 2
    return f" {fit(left, max(room, 0))}{right} "


class Strip(urwid.Widget):
    """One row of text, made for the width that there is."""

    _sizing = frozenset(["flow"])
    no_cache = ("render",)

    def __init__(self, make: Callable[[int], Markup], can_focus: bool = False) -> None:
        super().__init__()
        self._make = make
        self._selectable = can_focus

    def rows(self, size: tuple[int], focus: bool = False) -> int:  # noqa: ARG002 - urwid's own
        """Always one."""
        return 1

    def keypress(self, size: tuple[int], key: str) -> str:  # noqa: ARG002 - urwid's own
        """No key is for the row itself."""
        return key

    def render(self, size: tuple[int], focus: bool = False) -> Any:
        """The row."""
        text = urwid.Text(self._make(size[0]), wrap="clip")
        shown = urwid.AttrMap(text, {}, _FOCUS if self._selectable else {})
        return urwid.CompositeCanvas(shown.render(size, focus and self._selectable))


_FOCUS: dict[str | None, str] = dict.fromkeys((None, "quiet", "error", "key"), "focus") | {
    kind.label: "focus" for kind in FdKind
}


class Rows(urwid.ListWalker):
    """Rows of a list, made when they are shown."""

    def __init__(self) -> None:
        self._items: Sequence[Any] = ()
        self._make: Callable[[Any], urwid.Widget] = urwid.Text
        self.focus = 0

    def replace(
        self, items: Sequence[Any], make: Callable[[Any], urwid.Widget], focus: int
    ) -> None:
        """Other rows; ``focus``: the number of the one that has it."""
        self._items, self._make = items, make
        self.focus = max(min(focus, len(items) - 1), 0)
        self._modified()

    def __getitem__(self, position: int) -> Any:
        if not 0 <= position < len(self._items):
            raise IndexError
        return self._make(self._items[position])

    @property
    def chosen(self) -> Any | None:
        """The item that has the focus."""
        return self._items[self.focus] if self._items else None

    def next_position(self, position: int) -> int:
        """IndexError behind the last."""
        if position + 1 >= len(self._items):
            raise IndexError
        return position + 1

    def prev_position(self, position: int) -> int:
        """IndexError before the first."""
        if position <= 0:
            raise IndexError
        return position - 1

    def positions(self, reverse: bool = False) -> Iterable[int]:
        """All of them."""
        every = range(len(self._items))
        return reversed(every) if reverse else every

    def set_focus(self, position: int) -> None:
        """Move the focus."""
        self.focus = position
        self._modified()


class Enough(urwid.WidgetWrap):
    """The screen, or plain words where the terminal is too small for it."""

    no_cache = ("render",)

    def render(self, size: tuple[int, int], focus: bool = False) -> Any:
        """What there is room for."""
        if size[0] >= LEAST[0] and size[1] >= LEAST[1]:
            return super().render(size, focus)
        words = (
            f"This terminal has {size[0]} columns and {size[1]} rows. fdscope top needs"
            f" {LEAST[0]} and {LEAST[1]}: make it larger, or press q and use fdscope top --once."
        )
        return urwid.Filler(urwid.Text(words), "top").render(size, focus)


_BARS = 4
"""Rows of bars, two on each."""
_SORTS = {
    "b": Order.BYTES,
    "o": Order.OPERATIONS,
    "e": Order.ERRORS,
    "f": Order.FDS,
    "n": Order.NAME,
    "p": Order.PID,
}
_SORT_WORDS = (
    *(("b", "bytes"), ("o", "operations"), ("e", "errors"), ("f", "fds"), ("n", "name")),
    ("p", "pid"),
)
_BACK = ("esc", "left", "backspace")


class Top:
    """The program: keys, views, and what they show."""

    def __init__(
        self, lens: "Lens", seconds: float, order: Order, theme: str, screen: Any = None
    ) -> None:
        """``theme``: dark or light. ``screen``: one of urwid's, for tests."""
        self.order = order
        self._theme = theme
        self._seconds = seconds
        self._has_terminal = screen is None
        self._filters = {"host": "", "process": "", "file": ""}
        self._view = "host"
        self._pid: int | None = None
        self._file: tuple[Any, ...] | None = None
        """Identity of the file that is shown."""
        self._known: FileLine | None = None
        """That file, as last seen."""
        self._message = ""
        self._sheet: Sheet | None = None
        self._files: ProcessFiles | None = None
        self._editing = False
        self._edit = urwid.Edit(("key", " filter: "))
        self._strips: list[Strip] = []
        self._rows = Rows()
        self._list = urwid.ListBox(self._rows)
        self._first = self._strip(self._actions)
        self._footer = urwid.Pile([self._first, self._strip(self._sorts)])
        self._header = urwid.Pile([])
        self._bar_strips = [self._strip(self._bars_of(row)) for row in range(_BARS)]
        self._title_strip = urwid.AttrMap(self._strip(self._title), "title")
        self._head_strip = urwid.AttrMap(self._strip(self._head), "head")
        self._frame = urwid.Frame(self._list, self._header, self._footer)
        self._lay_out()
        self.loop = urwid.MainLoop(
            Enough(self._frame),
            palette(theme),
            screen=screen,
            handle_mouse=False,
            unhandled_input=self._pressed,
        )
        if os.environ.get("NO_COLOR") and hasattr(self.loop.screen, "set_terminal_properties"):
            self.loop.screen.set_terminal_properties(colors=1)
        self._wake = self.loop.watch_pipe(self._looked)
        self._feed = Feed(lens, seconds, self._notify)
        urwid.connect_signal(self._edit, "change", lambda _, text: self._filtered(text))

    def _strip(self, make: Callable[[int], Markup]) -> Strip:
        self._strips.append(Strip(make))
        return self._strips[-1]

    def _lay_out(self) -> None:
        """The header of the view: without bars for one file."""
        bars = () if self._view == "file" else self._bar_strips
        self._header.contents = [
            (each, self._header.options("pack"))
            for each in (self._title_strip, *bars, self._head_strip)
        ]

    def run(self) -> None:
        """Until the user quits, or the terminal is gone; raises what looking has raised."""
        self._feed.start()
        try:
            self.loop.run()
        except Exception:
            # Without a terminal urwid fails in one way or another.
            if not self._terminal_is_gone():
                raise
        finally:
            self._feed.close()
        if self._feed.failure:
            raise self._feed.failure

    def _notify(self) -> None:
        os.write(self._wake, b".")

    def _looked(self, _: bytes) -> None:
        if self._feed.failure or self._terminal_is_gone():
            raise urwid.ExitMainLoop
        if self._feed.last:
            self.show(self._feed.last)

    def _terminal_is_gone(self) -> bool:
        return self._has_terminal and _hung_up()

    # What is seen.

    def show(self, look: Look) -> None:
        """Take over what was seen last."""
        if look.pid != self._pid:
            return
        if look.refusal:
            self._show_host(look.refusal)
        elif look.sheet:
            self._sheet = look.sheet
        elif look.files:
            self._files = look.files
        else:
            self._show_host(f"process {look.pid} is not watched any more")
        self._refresh()

    def _refresh(self) -> None:
        """Fill the list again; the focus stays on what it is on, unless that is the first row."""
        items: Sequence[Any]
        of: Callable[[Any], Any]
        make: Callable[[Any], Any]
        chosen, at = self._rows.chosen, self._rows.focus
        text = self._filters[self._view]
        if self._view == "host":
            items = self._sheet.sorted(self.order, text) if self._sheet else ()
            of, make = (lambda line: getattr(line, "pid", None)), self._process_row
        elif self._view == "process":
            every = self._files.lines if self._files else ()
            matching = (line for line in every if not text or line.matches(text))
            items = sorted(matching, key=lambda line: line.key(self.order))
            of, make = (lambda line: getattr(line, "identity", None)), self._file_row
        else:
            for line in self._files.lines if self._files else ():
                if line.identity == self._file:
                    self._known = line
            items = self._details()
            of, make = (lambda _: None), _detail_row
        if at and chosen is not None and (key := of(chosen)) is not None:
            at = next((n for n, each in enumerate(items) if of(each) == key), at)
        if not items:
            why = "nothing matches the filter" if text else "looking"
            items, make = [[("quiet", f" {why}")]], _detail_row
        self._rows.replace(items, make, at)
        for strip in self._strips:
            strip._invalidate()

    def _title(self, width: int) -> Markup:
        state = "PAUSED  " if self._feed.is_paused else ""
        if self._view == "host":
            shown = len(self._sheet.lines) if self._sheet else 0
            left = f"fdscope top  {shown:,} processes by {self.order.value}"
            if self._filters["host"]:
                left += f", filter: {self._filters['host']}"
            if not self._sheet or not self._sheet.seconds:
                left += "  (measuring)"
            elif self._sheet.unattributed:
                left += _lost(self._sheet.unattributed)
            mode = self._sheet.mode if self._sheet else "?"
            return [between_ends(left, f"{state}{mode}, every {self._seconds:g} s", width)]
        files = self._files
        if files is None:
            return [between_ends(f"process {self._pid}: looking", state, width)]
        process = files.process
        is_open = sum(line.file["open"] for line in files.lines)
        left = f"{printable(process['process'])} (pid {files.pid})" + " ended" * process["ended"]
        if self._view == "process":
            summary = "1 open file" if is_open == 1 else f"{is_open:,} open files"
            left += f"  {summary} by {self.order.value}"
            if self._filters["process"]:
                left += f", filter: {self._filters['process']}"
        elif self._known:
            left += f"  fd {self._known.fds}"
        if files.lost:
            left += _lost(files.lost)
        watched = duration(process["watched_seconds"])
        return [between_ends(left, f"{state}watched for {watched}", width)]

    def _bars_of(self, row: int) -> Callable[[int], Markup]:
        return lambda width: self._bars(width, row)

    def _bars(self, width: int, row: int) -> Markup:
        """The two fd types of a row with their bars: of eight, those with the largest amounts."""
        types: Mapping[FdType, OfType] = {}
        if self._view == "host":
            types = self._sheet.types if self._sheet else {}
        elif self._files:
            types = file_types(self._files.lines)
        shown = shares(types, self.order)[: 2 * _BARS]
        most = shown[0][1] if shown else 1
        by_rate = any(self.order.amount(of) for of in types.values())
        half = width // 2
        pieces: Markup = []
        for fd_type, share in shown[row::_BARS][:2]:
            room = half - 3 - 15 - 10 - 2
            filled = max(round(share / most * room), 1)
            value = self._amount(types[fd_type], by_rate)
            letter, kind = _KINDS[kind_of(fd_type)][0], kind_of(fd_type).label
            pieces += [
                (kind, f" {letter} "),
                fit(fd_type.label, 15),
                (kind, _block() * filled),
                " " * (room - filled),
                fit(value, 10, right=True),
                "  ",
            ]
        return pieces or [""]

    def _amount(self, of: OfType, by_rate: bool) -> str:
        if not by_rate or self.order is Order.FDS:
            return f"{short(of.open)} fds"
        if self.order is Order.OPERATIONS:
            return f"{short(of.moved.operations)} op/s"
        if self.order is Order.ERRORS:
            return f"{short(of.moved.errors)} err/s"
        return f"{short(of.moved.bytes)}B/s"

    def _head(self, width: int) -> Markup:
        if self._view == "host":
            return [_process_line(width, ("PID", "PROCESS", *_RATES, "FDS")) + " FD TYPES"]
        if self._view == "process":
            return [_file_line(width, _FILE_HEAD)]
        return [fit(" FILE", width)]

    def _process_row(self, line: Line) -> Strip:
        def make(width: int) -> Markup:
            fds = "-" if line.fds is None else short(line.fds)
            name = line.name + " (ended)" * line.ended
            text = _process_line(width, (str(line.pid), name, *_four(line.moved), fds))
            room = width - urwid.calc_width(text, 0, len(text)) - 2
            return [text, " ", *_letters(shares(line.types, self.order), room), " "]

        return Strip(make, can_focus=True)

    def _file_row(self, line: FileLine) -> Strip:
        file, total = line.file, line.total

        def make(width: int) -> Markup:
            queues = (file.get("receive_queue"), file.get("send_queue"))
            cells = {
                "FD": line.fds,
                "TYPE": file["fd_type"],
                "MODE": file.get("access", ""),
                "READ/s": short(line.rate.read),
                "WRITE/s": short(line.rate.written),
                "READ": short(total.read),
                "WRITTEN": short(total.written),
                "OPS": short(total.operations),
                "ERR": short(total.errors),
                "QUEUES": "/".join(short(each) for each in queues if each is not None),
                "FILE": printable(with_peers(file)),
            }
            text = _file_line(width, cells)
            kind = kind_of(line.fd_type).label
            start = 1 + dict(_file_columns(width))["FD"] + 1
            end = start + dict(_file_columns(width))["TYPE"]
            return [text[:start], (kind, text[start:end]), text[end:]]

        return Strip(make, can_focus=True)

    def _details(self) -> list[Markup]:
        """Everything that is known of a file, a line each."""
        return details(self._known, self._is_gone()) if self._known else []

    def _is_gone(self) -> bool:
        """The file is in the list no more: it was closed, or its descriptors changed."""
        lines = self._files.lines if self._files else ()
        return all(line.identity != self._file for line in lines)

    # Keys.

    def _actions(self, width: int) -> Markup:
        if self._message:
            return [("error", fit(f" {self._message}", width))]
        enter = {"host": (("Enter", "files"),), "process": (("Enter", "the file"),), "file": ()}
        back = () if self._view == "host" else (("Esc", "back"),)
        pause = "go on" if self._feed.is_paused else "pause"
        filters = () if self._view == "file" else (("/", "filter"),)
        return _keys(
            (
                *enter[self._view],
                *back,
                *filters,
                ("Space", pause),
                ("t", "dark or light"),
                ("q", "quit"),
            )
        )

    def _sorts(self, _width: int) -> Markup:
        if self._view == "file":
            return [""]
        return [" sort by ", *_keys(_SORT_WORDS)]

    def _pressed(self, key: Any) -> bool:
        if self._editing:  # all other keys are text
            if key in ("enter", "esc"):
                self._end_filter(keep=key == "enter")
            return False
        self._message = ""
        if key in ("q", "Q"):
            raise urwid.ExitMainLoop
        if key == " ":
            self._feed.pause(not self._feed.is_paused)
        elif key == "t":
            self._turn_theme()
        elif key in _BACK:
            self._go_back()
        elif key in ("enter", "right"):
            self._open()
        elif key == "/" and self._view != "file":
            self._begin_filter()
        elif key in _SORTS and self._view != "file":
            self.order = _SORTS[key]
            self._rows.focus = 0
        else:
            return False
        self._refresh()
        return True

    def _turn_theme(self) -> None:
        self._theme = "dark" if self._theme == "light" else "light"
        self.loop.screen.register_palette(palette(self._theme))
        self.loop.screen.clear()

    def _open(self) -> None:
        chosen = self._rows.chosen
        if self._view == "host" and isinstance(chosen, Line):
            self._view, self._pid, self._files = "process", chosen.pid, None
            self._feed.show(chosen.pid)
        elif self._view == "process" and isinstance(chosen, FileLine):
            self._view, self._file, self._known = "file", chosen.identity, chosen
        else:
            return
        self._leave()

    def _leave(self) -> None:
        """Another view begins at its first row."""
        self._rows.replace((), urwid.Text, 0)
        self._lay_out()

    def _go_back(self) -> None:
        if self._filters[self._view]:
            self._filters[self._view] = ""
        elif self._view == "file":
            self._view = "process"
            self._leave()
        elif self._view == "process":
            self._show_host()

    def _show_host(self, message: str = "") -> None:
        self._message = message
        self._filters["process"] = ""
        self._view, self._pid, self._files = "host", None, None
        self._leave()
        self._feed.show(None)

    # The filter.

    def _begin_filter(self) -> None:
        self._editing = True
        self._edit.set_edit_text(self._filters[self._view])
        self._edit.set_edit_pos(len(self._edit.edit_text))
        self._footer.contents[0] = (self._edit, self._footer.options("pack"))
        self._frame.focus_position = "footer"
        self._footer.focus_position = 0

    def _end_filter(self, keep: bool) -> None:
        if not keep:
            self._filters[self._view] = ""
        self._editing = False
        self._footer.contents[0] = (self._first, self._footer.options("pack"))
        self._frame.focus_position = "body"
        self._refresh()

    def _filtered(self, text: str) -> None:
        self._filters[self._view] = text
        self._rows.focus = 0
        self._refresh()


def _lost(operations: int) -> str:
    return f", {operations:,} operations lost: a map is full"


def _hung_up() -> bool:
    """True if standard input is a terminal that hung up."""
    poll = select.poll()
    try:
        poll.register(sys.stdin.fileno(), select.POLLIN)
        return any(event & (select.POLLHUP | select.POLLNVAL) for _, event in poll.poll(0))
    except (OSError, ValueError):  # closed
        return True


def _block() -> str:
    """What bars are made of."""
    return "█" if urwid.supports_unicode() else "#"


def _keys(pairs: Iterable[tuple[str, str]]) -> Markup:
    pieces: Markup = []
    for key, word in pairs:
        pieces += [("key", f" {key}"), ("quiet", f" {word} ")]
    return pieces


_RATES = ("READ/s", "WRITE/s", "OPS/s", "ERR/s")


def _four(moved: Moved) -> tuple[str, ...]:
    return tuple(
        short(each) if each else "-"
        for each in (moved.read, moved.written, moved.operations, moved.errors)
    )


def _process_line(width: int, cells: Sequence[str]) -> str:
    """Pid, name, four rates and descriptors."""
    name = 15 if width < WIDE else 24
    pid, called, *numbers = cells
    shown = (fit(each, 8, right=True) for each in numbers)
    return f"{fit(pid, 8, right=True)} {fit(called, name)}{''.join(shown)}"


def _letters(types: Sequence[tuple[FdType, float]], room: int) -> Markup:
    """A bar of letters: each fd type has its share."""
    pieces: Markup = []
    done, total = 0, 0.0
    for fd_type, share in types:
        total += share
        until = min(round(total * room), room)
        if until > done:
            letter, kind = _KINDS[kind_of(fd_type)][0], kind_of(fd_type).label
            pieces.append((kind, letter * (until - done)))
            done = until
    return [*pieces, " " * max(room - done, 0)]


_FILE_HEAD = {
    name: name
    for name in (
        *("FD", "TYPE", "MODE", "READ/s", "WRITE/s", "READ", "WRITTEN", "OPS", "ERR"),
        *("QUEUES", "FILE"),
    )
}


def _file_columns(width: int) -> list[tuple[str, int]]:
    """Names and widths of the columns before the file."""
    if width < WIDE:
        return [("FD", 5), ("TYPE", 11), ("READ/s", 6), ("WRITE/s", 7), ("OPS", 6), ("ERR", 5)]
    return [
        *(("FD", 8), ("TYPE", 13), ("MODE", 4), ("READ/s", 6), ("WRITE/s", 7), ("READ", 6)),
        *(("WRITTEN", 7), ("OPS", 6), ("ERR", 6), ("QUEUES", 7)),
    ]


def _file_line(width: int, cells: Mapping[str, str]) -> str:
    left = ("FD", "TYPE", "MODE")
    text = " " + " ".join(
        fit(cells[name], size, right=name not in left) for name, size in _file_columns(width)
    )
    room = width - urwid.calc_width(text, 0, len(text)) - 1
    name = cells["FILE"]
    return f"{text} {fit(name, max(room, 0), tail=name.startswith('/'))}"


def _detail_row(markup: Markup) -> urwid.Widget:
    return urwid.Text(markup or "", wrap="space")


_NO_TIMES = " These probes measure no times: --control=off --probe.mode=tracepoint does."


def details(line: FileLine, is_gone: bool = False) -> list[Markup]:
    """Everything that the spotlight knows of a file, a line each."""
    file = line.file
    name = printable(shown_name(file))
    lines: list[Markup] = [[("key", f" {name}")]]
    if reason := file.get("why_no_name"):
        lines.append([("quiet", f" {printable(reason)}")])
    if is_gone:
        lines.append([("error", " as last seen: it was closed, or has other descriptors now")])
    rate = line.rate
    now = (
        f" {short(rate.read)}B/s read, {short(rate.written)}B/s written,"
        f" {short(rate.operations)} operations/s, {short(rate.errors)} errors/s"
    )
    lines += [[now], [""], [("head", _OPERATIONS.format(*_OPERATION_HEAD))]]
    rows = sorted(file["operations"], key=lambda each: (each["door"], each["what"]))
    lines += [[_operation(each)] for each in rows]
    if not rows:
        lines.append([" nothing since it is watched"])
    elif not any(each["seconds"] for each in rows):
        lines.append([("quiet", _NO_TIMES)])
    lines.append([""])
    for title, text in _facts(file):
        if text:
            lines.append([("quiet", f" {title:<14} "), printable(text)])
    return lines


def _facts(file: Document) -> list[tuple[str, str]]:
    queues = [
        f"{number(file[key])} bytes {word}"
        for key, word in (("receive_queue", "to be read"), ("send_queue", "to be sent"))
        if file.get(key) is not None
    ]
    passed = file.get("passed_by")
    how = file["opened_by"] or "before it was watched"
    peers = file.get("peers") or []
    return [
        ("type", file["fd_type"]),
        ("descriptors", ", ".join(map(str, file["fds"])) if file["open"] else "closed"),
        ("state", file.get("state") or ""),
        ("queues", ", ".join(queues)),
        *(
            ("peer" if not n else "", f"{each['process']} (pid {each['pid']}) fd {each['fd']}")
            for n, each in enumerate(peers)
        ),
        ("opened by", how),
        ("passed by", f"{passed['process']} (pid {passed['pid']})" if passed else ""),
        ("closed by", "" if file["open"] else file["closed_by"] or "not seen"),
        ("known for", "" if file["age_seconds"] is None else duration(file["age_seconds"])),
        ("last used", _ago(file["idle_seconds"])),
        ("access", " ".join((file.get("access", ""), *file.get("flags", ())))),
        ("position", number(file["position"]) if "position" in file else ""),
        ("filesystem", file["filesystem"] or ""),
        ("device", file["device"] or ""),
        ("inode", str(file["inode"] or "")),
    ]


def _ago(seconds: float | None) -> str:
    return "" if seconds is None else f"{duration(seconds)} ago"


_OPERATIONS = " {:<16}{:<12}{:<12}{:>12}{:>17}{:>10}"
_OPERATION_HEAD = ("DOOR", "WHAT", "ERROR", "OPERATIONS", "BYTES", "TIME")


def _operation(each: Document) -> str:
    return _OPERATIONS.format(
        each["door"],
        each["what"],
        each["errno"] or "",
        number(each["operations"]),
        number(each["bytes"]),
        duration(each["seconds"]),
    )
