/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loads from kernel memory, and what else BCC's compiler cannot write: the calls below are replaced
 * by fdscope.probes.attach.instructions.
 */
#pragma once

#define HELPER_READ(destination, pointer) \
	bpf_probe_read_kernel(&(destination), sizeof(destination), (const void *)(pointer))

#ifdef RDONLY_CAST
/*
 * Where the kernel has bpf_rdonly_cast(), any address can be read by a plain load, in any program:
 * one that faults gives 0, like bpf_probe_read_kernel(), which takes some 75 instructions more. The
 * address is taken for a struct of which numbers of any size can be read.
 */
static const void *(*const rdonly_cast)(const void *address, u32 type) = (void *)RDONLY_CAST;

#define PROBE_READ(destination, pointer)                                                   \
	({                                                                                 \
		const void *from_ = (const void *)(pointer);                               \
		if (sizeof(destination) == sizeof(u64))                                    \
			*(volatile u64 *)&(destination) =                                  \
				*(const volatile u64 *)rdonly_cast(from_, TYPE_cpumask);   \
		else if (sizeof(destination) == sizeof(u32))                               \
			*(volatile u32 *)&(destination) =                                  \
				*(const volatile u32 *)rdonly_cast(from_, TYPE_cpumask);   \
		else if (sizeof(destination) == sizeof(u16))                               \
			*(volatile u16 *)&(destination) =                                  \
				*(const volatile u16 *)rdonly_cast(from_, TYPE_cpumask);   \
		else if (sizeof(destination) == sizeof(u8))                                \
			*(volatile u8 *)&(destination) =                                   \
				*(const volatile u8 *)rdonly_cast(from_, TYPE_cpumask);    \
		else                                                                       \
			bpf_probe_read_kernel(&(destination), sizeof(destination), from_); \
	})
#else
#define PROBE_READ HELPER_READ
#endif
