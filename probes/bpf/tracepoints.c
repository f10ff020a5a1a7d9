/* SPDX-License-Identifier: GPL-2.0-only */
/* tracepoint mode: system calls, resolved to their files. */
#include "core/process.c"
#include "fds/census.c"
#include "file/operations.c"
#include "spotlight/list.c"
#include "spotlight/origins.c"
#include "socket/socket.c"
#include "syscalls/syscalls.c"
#include "syscalls/aio.c"
#include "syscalls/fds.c"
#include "journal/exec.c"
#include "file/io_uring.c"
