/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * file_fd_type() for walks over tables of descriptors, whose loops the verifier refuses with the loads
 * of PROBE_READ(): it does not forget what it knows of a number that was stored and loaded again, and
 * follows each step for each of the types of the steps before.
 */
#pragma once

#pragma push_macro("PROBE_READ")
#undef PROBE_READ

/* By calls of bpf_probe_read_kernel(), for loops of which each step is verified. */
#define PROBE_READ HELPER_READ
#define TYPED(name) walk_##name
#include "core/file_type.h"
#undef TYPED
#undef PROBE_READ

#ifdef HAS_LOOPS
/* By loads into registers, for loops of any length. */
#define PROBE_READ(destination, pointer) \
	((destination) = *(const __typeof__(destination) *)rdonly_cast(pointer, TYPE_cpumask))
#define TYPED(name) loop_##name
#include "core/file_type.h"
#undef TYPED
#undef PROBE_READ
#endif

#pragma pop_macro("PROBE_READ")
