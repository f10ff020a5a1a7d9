/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * walk_file_fd_type() is file_fd_type() by calls of bpf_probe_read_kernel(), for walks over tables of
 * descriptors. With loads, the verifier of Linux 6.12 refuses such a loop: it does not forget what it
 * knows of a loaded number, and follows each step for each of the types of the steps before.
 */
#pragma once

#pragma push_macro("PROBE_READ")
#undef PROBE_READ
#define PROBE_READ HELPER_READ
#define sock_fd_type walk_sock_fd_type
#define character_fd_type walk_character_fd_type
#define regular_fd_type walk_regular_fd_type
#define anonymous_fd_type walk_anonymous_fd_type
#define sock_of walk_sock_of
#define socket_of walk_socket_of
#define socket_target walk_socket_target
#define filesystem_target walk_filesystem_target
#define target_of walk_target_of
#define is_path walk_is_path
#define file_fd_type walk_file_fd_type
#include "core/file_type.h"
#undef sock_fd_type
#undef character_fd_type
#undef regular_fd_type
#undef anonymous_fd_type
#undef sock_of
#undef socket_of
#undef socket_target
#undef filesystem_target
#undef target_of
#undef is_path
#undef file_fd_type
#pragma pop_macro("PROBE_READ")
