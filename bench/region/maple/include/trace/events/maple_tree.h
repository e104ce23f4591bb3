/* SPDX-License-Identifier: BSD-2-Clause */
#define tracepoint_string(text) text
#define trace_ma_op(function, state) do { } while (0)
#define trace_ma_read(function, state) do { } while (0)
#define trace_ma_write(function, state, piv, value) do { } while (0)
