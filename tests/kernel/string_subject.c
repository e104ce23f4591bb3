/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's string functions under names that leave the C library's alone. */
#define memcpy kernel_memcpy
#define memmove kernel_memmove
#define memset kernel_memset
#define memcmp kernel_memcmp
#define memchr kernel_memchr
#define strlen kernel_strlen
#define strnlen kernel_strnlen
#define strcmp kernel_strcmp
#define strncmp kernel_strncmp
#define strchr kernel_strchr
#define strrchr kernel_strrchr
#define strstr kernel_strstr
#include "../../kernel/lib/string.c"
