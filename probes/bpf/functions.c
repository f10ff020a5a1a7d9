/* SPDX-License-Identifier: GPL-2.0-only */
/* fentry and kprobe mode: the functions of the kernel's file layer. */
#include "core/process.c"
#include "fds/census.c"
#include "file/operations.c"
#include "spotlight/list.c"
#include "spotlight/origins.c"
#include "socket/socket.c"
#include "socket/protocols.c"
#include "fds/functions.c"
#include "journal/exec.c"
#include "file/fanotify.c"
#include "file/functions.c"
#include "file/io_uring.c"
