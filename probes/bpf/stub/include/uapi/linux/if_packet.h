/* SPDX-License-Identifier: GPL-2.0-only */
/* BCC brings what it needs of this header itself. */
#pragma once
