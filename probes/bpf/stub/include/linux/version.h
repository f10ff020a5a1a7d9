/* SPDX-License-Identifier: GPL-2.0-only */
/* The oldest kernel that fdscope supports: BCC only asks which helpers it may name. */
#pragma once

#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE KERNEL_VERSION(5, 10, 0)
