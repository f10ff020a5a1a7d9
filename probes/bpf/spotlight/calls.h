/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The spotlight: what the other programs call for processes that are watched. It is defined in
 * spotlight/watched.c, spotlight/names.c and spotlight/origins.c.
 */
#pragma once

/*
 * The leases in use, a bit each; 0 while nothing is watched. The address is not one: the loader puts
 * in its place that of the value of the map `watching`. So the test costs three instructions: see
 * fdscope.probes.attach.objects.
 */
#if !defined(SPOTLIGHT) || (defined(LATENCY) && !defined(MODE_TRACEPOINT))
/* With histograms of durations the verifier has too much to follow in programs of two files. */
#define WATCHING 0
#else
#define WATCHING (*(volatile const u64 *)WATCHING_ADDRESS)
#endif

#ifdef SPOTLIGHT
static __always_inline void watched_operation(struct process_key owner, u32 account,
					      struct target target, u32 door, s64 result,
					      u64 operations);
static __always_inline void watched_opened(struct process_key owner, u32 fd,
					   const struct file *file, u32 fd_type, u32 birth);
static __always_inline void watched_origin(void *ctx, struct process_key owner, u32 fd,
					   const struct file *file, u32 birth);
static __always_inline void watched_without_origin(struct process_key owner);
static __always_inline void watched_closing(struct target *to, const struct file *file);
static __always_inline void watched_closed(struct target closed, u32 cause);
static __always_inline void watched_named(u32 fd, const struct file *file);
static __always_inline void watched_connected(const struct file *file);
static __always_inline void watched_forked(const struct task_struct *child);
static __always_inline void watched_execed(void);
static __always_inline void watched_exited(void);
#else
#define watched_operation(...) do { } while (0)
#define watched_opened(...) do { } while (0)
#define watched_origin(...) do { } while (0)
#define watched_without_origin(...) do { } while (0)
#define watched_closing(...) do { } while (0)
#define watched_closed(...) do { } while (0)
#define watched_named(...) do { } while (0)
#define watched_connected(...) do { } while (0)
#define watched_forked(...) do { } while (0)
#define watched_execed() do { } while (0)
#define watched_exited() do { } while (0)
#endif
