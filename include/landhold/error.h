/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One error type, one idiom: in the library, in a kernel upon it, and in the
 * programs that test that kernel.
 *
 * A function that can fail returns an lh_error and gives its results through
 * pointers, which it writes only on success. A caller may not drop the value:
 * it handles it, or passes it on with LH_TRY. Bad input and lack of memory are
 * errors; only a broken invariant stops the machine (lh_port_panic).
 *
 * The list holds more conditions than the library itself has: a kernel needs
 * "no such file" as much as "no memory", and two error types would need a
 * conversion at every border. Each condition names its Linux errno, so that the
 * system-call layer converts with one table look-up. Two conditions may share an
 * errno (no hole in the address space, and no frame, are both ENOMEM there).
 */
#ifndef LANDHOLD_ERROR_H
#define LANDHOLD_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define LH_MUST_USE __attribute__((warn_unused_result))
#else
#define LH_MUST_USE
#endif

/* name, Linux errno (errno(3)), text */
#define LH_ERRORS(X)                                                              \
	X(LH_OK, 0, "success")                                                    \
	/* what the library itself returns */                                     \
	X(LH_INVALID, 22, "invalid argument")                                     \
	X(LH_NO_MEMORY, 12, "out of memory")                                      \
	X(LH_NO_HOLE, 12, "no hole in the address space is large enough")         \
	X(LH_EXISTS, 17, "already exists")                                        \
	X(LH_NOT_MAPPED, 12, "the range is not wholly mapped")                    \
	X(LH_NO_ACCESS, 13, "access denied")                                      \
	X(LH_BAD_ADDRESS, 14, "bad address")                                      \
	X(LH_BUSY, 16, "busy")                                                    \
	X(LH_LIMIT, 12, "a limit was reached")                                    \
	X(LH_AGAIN, 11, "try again")                                              \
	X(LH_IO, 5, "input or output failed")                                     \
	X(LH_OVERFLOW, 75, "value too large")                                     \
	X(LH_UNSUPPORTED, 95, "not supported")                                    \
	/* what a kernel upon it needs beside */                                  \
	X(LH_NOT_PERMITTED, 1, "operation not permitted")                         \
	X(LH_NO_ENTRY, 2, "no such file or directory")                            \
	X(LH_NO_PROCESS, 3, "no such process")                                    \
	X(LH_INTERRUPTED, 4, "interrupted by a signal")                           \
	X(LH_NO_DEVICE_ADDRESS, 6, "no such device or address")                   \
	X(LH_ARGUMENTS_TOO_LONG, 7, "argument list too long")                     \
	X(LH_NOT_EXECUTABLE, 8, "not an executable of a known format")            \
	X(LH_BAD_DESCRIPTOR, 9, "bad file descriptor")                            \
	X(LH_NO_CHILD, 10, "no child process")                                    \
	X(LH_CROSS_DEVICE, 18, "not on the same file system")                     \
	X(LH_NO_DEVICE, 19, "no such device")                                     \
	X(LH_NOT_DIRECTORY, 20, "not a directory")                                \
	X(LH_IS_DIRECTORY, 21, "is a directory")                                  \
	X(LH_TOO_MANY_OPEN, 24, "too many open files")                            \
	X(LH_NOT_TERMINAL, 25, "not a terminal")                                  \
	X(LH_TEXT_BUSY, 26, "the program's file is being written")                \
	X(LH_FILE_TOO_LARGE, 27, "file too large")                                \
	X(LH_NO_ROOM, 28, "no room left on the device")                           \
	X(LH_NOT_SEEKABLE, 29, "cannot seek")                                     \
	X(LH_READ_ONLY, 30, "read-only file system")                              \
	X(LH_TOO_MANY_LINKS, 31, "too many links")                                \
	X(LH_BROKEN_PIPE, 32, "the pipe has no reader")                           \
	X(LH_OUT_OF_DOMAIN, 34, "result out of range")                            \
	X(LH_NAME_TOO_LONG, 36, "name too long")                                  \
	X(LH_NO_SYSTEM_CALL, 38, "no such system call")                           \
	X(LH_NOT_EMPTY, 39, "directory not empty")                                \
	X(LH_LINK_LOOP, 40, "too many symbolic links")                            \
	X(LH_TIMED_OUT, 110, "timed out")

typedef enum lh_error {
#define LH_ERROR_NAME(name, number, text) name,
	LH_ERRORS(LH_ERROR_NAME)
#undef LH_ERROR_NAME
	LH_ERROR_COUNT
} lh_error;

/*
 * Passes an error on to the caller; goes on after LH_OK. Use it only where the
 * function has changed nothing yet, or undoes it elsewhere: validate, prepare,
 * commit.
 */
#define LH_TRY(expression)                                                        \
	do {                                                                      \
		lh_error lh_try_error_ = (expression);                            \
		if (lh_try_error_ != LH_OK)                                       \
			return lh_try_error_;                                     \
	} while (0)

/* The text of an error, in English, without a full stop. Never NULL. */
const char *lh_error_string(lh_error error);

/* The error's own name, as in the source: "LH_NO_MEMORY". Never NULL. */
const char *lh_error_name(lh_error error);

/* The Linux errno of an error: positive, 0 for LH_OK; 5 (EIO) if out of range. */
int lh_error_to_errno(lh_error error);

/* The first error that has this errno; LH_IO where there is none. */
lh_error lh_error_from_errno(int number);

#ifdef __cplusplus
}
#endif
#endif
