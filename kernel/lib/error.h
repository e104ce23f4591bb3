/* SPDX-License-Identifier: BSD-2-Clause */
/* Errors are the library's: one type and one idiom (LH_TRY) in both. */
#ifndef KERNEL_LIB_ERROR_H
#define KERNEL_LIB_ERROR_H

#include <landhold/error.h>

#endif
