/* SPDX-License-Identifier: GPL-2.0-only */
/* The program at exec: descriptors that it closes, and what is unusual about the new program. */
#include "attach.c"
#include "journal/unusual.c"

/* sched_process_exec(struct task_struct *task, pid_t old_tid, struct linux_binprm *) */
ON_TRACEPOINT(sched_process_exec)
{
#ifdef MODE_TRACEPOINT
	closed_by_exec(arg[1]);
#endif
	event_executed();
	return 0;
}
