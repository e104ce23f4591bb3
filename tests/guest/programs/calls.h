/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The system calls, and what each of their arguments is.
 *
 * What an argument is, by a letter and a number:
 *     d, e     descriptors of a file                D   of a directory
 *     p        the path of a file                   s   another string
 *     x        of one that may be executed
 *     iN, oN   N bytes that the call reads, writes  v   two buffers, as readv takes them
 *     wN, bN   a buffer of N bytes to fill, to take; its length is the next argument, l
 *     a        an address that is taken as it comes
 *     nV       the number V
 * A question mark before it: 0 is good as well, and is what is given while others are bad.
 */
#ifndef TESTS_GUEST_CALLS_H
#define TESTS_GUEST_CALLS_H

#include <sys/syscall.h>

#include "guest.h"

enum where { ANYWHERE, ONLY_HERE };

struct call {
	const char *name;
	long number;
	const char *arguments;
	enum where where;
};

static const struct call calls[] = {
	{ "read", SYS_read, "d w64 l", ANYWHERE },
	{ "write", SYS_write, "d b64 l", ANYWHERE },
	{ "open", SYS_open, "p n0 n0", ANYWHERE },
	{ "close", SYS_close, "d", ANYWHERE },
	{ "stat", SYS_stat, "p o144", ANYWHERE },
	{ "fstat", SYS_fstat, "d o144", ANYWHERE },
	{ "lstat", SYS_lstat, "p o144", ANYWHERE },
	{ "poll", SYS_poll, "i8 n1 n0", ANYWHERE },
	{ "lseek", SYS_lseek, "d n0 n0", ANYWHERE },
	{ "mmap", SYS_mmap, "n0 n4096 n3 n2 d n0", ANYWHERE },
	{ "mmap, fixed", SYS_mmap, "a n4096 n3 n50 n0 n0", ONLY_HERE },
	{ "mprotect", SYS_mprotect, "a n4096 n1", ANYWHERE },
	{ "munmap", SYS_munmap, "a n4096", ANYWHERE },
	{ "brk", SYS_brk, "a", ONLY_HERE },
	{ "rt_sigaction", SYS_rt_sigaction, "n10 ?i32 ?o32 n8", ANYWHERE },
	{ "rt_sigprocmask", SYS_rt_sigprocmask, "n0 ?i8 ?o8 n8", ANYWHERE },
	{ "ioctl, size", SYS_ioctl, "d n21523 o8", ANYWHERE },
	{ "ioctl, blocking", SYS_ioctl, "d n21537 i4", ANYWHERE },
	{ "pread64", SYS_pread64, "d w64 l n0", ANYWHERE },
	{ "pwrite64", SYS_pwrite64, "d b64 l n0", ANYWHERE },
	{ "readv", SYS_readv, "d v n2", ANYWHERE },
	{ "writev", SYS_writev, "d v n2", ANYWHERE },
	{ "access", SYS_access, "p n0", ANYWHERE },
	{ "pipe", SYS_pipe, "o8", ANYWHERE },
	{ "select", SYS_select, "n1 ?i128 ?i128 ?i128 o16", ANYWHERE },
	{ "sched_yield", SYS_sched_yield, "", ANYWHERE },
	{ "mremap", SYS_mremap, "a n4096 n4096 n0 n0", ANYWHERE },
	{ "msync", SYS_msync, "a n4096 n4", ANYWHERE },
	{ "madvise", SYS_madvise, "a n4096 n4", ANYWHERE },
	{ "dup", SYS_dup, "d", ANYWHERE },
	{ "dup2", SYS_dup2, "d n60", ANYWHERE },
	{ "nanosleep", SYS_nanosleep, "i16 n0", ANYWHERE },
	{ "getitimer", SYS_getitimer, "n0 o32", ANYWHERE },
	{ "alarm", SYS_alarm, "n0", ANYWHERE },
	{ "setitimer", SYS_setitimer, "n0 i32 ?o32", ANYWHERE },
	{ "getpid", SYS_getpid, "", ANYWHERE },
	{ "sendfile", SYS_sendfile, "d e ?o8 n10", ANYWHERE },
	{ "execve", SYS_execve, "x ?n0 ?n0", ANYWHERE },
	{ "execve, arguments", SYS_execve, "x i16 n0", ANYWHERE },
	{ "execve, environment", SYS_execve, "x n0 i16", ANYWHERE },
	{ "wait4", SYS_wait4, "n-1 ?o4 n1 ?o144", ANYWHERE },
	{ "kill", SYS_kill, "n0 n0", ANYWHERE },
	{ "uname", SYS_uname, "o390", ANYWHERE },
	{ "fcntl, flags", SYS_fcntl, "d n3 n0", ANYWHERE },
	{ "fcntl, a lock", SYS_fcntl, "d n5 i32", ONLY_HERE },
	{ "flock", SYS_flock, "d n8", ANYWHERE },
	{ "fsync", SYS_fsync, "d", ANYWHERE },
	{ "fdatasync", SYS_fdatasync, "d", ANYWHERE },
	{ "truncate", SYS_truncate, "p n0", ANYWHERE },
	{ "ftruncate", SYS_ftruncate, "d n0", ANYWHERE },
	{ "getcwd", SYS_getcwd, "w4096 l", ANYWHERE },
	{ "chdir", SYS_chdir, "p", ANYWHERE },
	{ "fchdir", SYS_fchdir, "D", ANYWHERE },
	{ "rename", SYS_rename, "p p", ANYWHERE },
	{ "mkdir", SYS_mkdir, "p n511", ANYWHERE },
	{ "rmdir", SYS_rmdir, "p", ANYWHERE },
	{ "creat", SYS_creat, "p n438", ANYWHERE },
	{ "link", SYS_link, "p p", ANYWHERE },
	{ "unlink", SYS_unlink, "p", ANYWHERE },
	{ "symlink", SYS_symlink, "s p", ANYWHERE },
	{ "readlink", SYS_readlink, "p w64 l", ANYWHERE },
	{ "chmod", SYS_chmod, "p n384", ANYWHERE },
	{ "fchmod", SYS_fchmod, "d n384", ANYWHERE },
	{ "chown", SYS_chown, "p n0 n0", ANYWHERE },
	{ "fchown", SYS_fchown, "d n0 n0", ANYWHERE },
	{ "lchown", SYS_lchown, "p n0 n0", ANYWHERE },
	{ "umask", SYS_umask, "n18", ANYWHERE },
	{ "gettimeofday", SYS_gettimeofday, "?o16 ?o8", ANYWHERE },
	{ "getrlimit", SYS_getrlimit, "n7 o16", ANYWHERE },
	{ "getrusage", SYS_getrusage, "n0 o144", ANYWHERE },
	{ "sysinfo", SYS_sysinfo, "o112", ANYWHERE },
	{ "times", SYS_times, "?o32", ANYWHERE },
	{ "setuid", SYS_setuid, "n0", ANYWHERE },
	{ "getgroups", SYS_getgroups, "n0 ?o4", ANYWHERE },
	{ "setgroups", SYS_setgroups, "n0 ?i4", ANYWHERE },
	{ "setresuid", SYS_setresuid, "n0 n0 n0", ANYWHERE },
	{ "getresuid", SYS_getresuid, "o4 o4 o4", ANYWHERE },
	{ "getresgid", SYS_getresgid, "o4 o4 o4", ANYWHERE },
	{ "getpgid", SYS_getpgid, "n0", ANYWHERE },
	{ "getsid", SYS_getsid, "n0", ANYWHERE },
	{ "rt_sigpending", SYS_rt_sigpending, "o8 n8", ANYWHERE },
	{ "rt_sigsuspend", SYS_rt_sigsuspend, "i8 n8", ANYWHERE },
	{ "sigaltstack", SYS_sigaltstack, "?i24 ?o24", ANYWHERE },
	{ "utime", SYS_utime, "p ?i16", ANYWHERE },
	{ "mknod", SYS_mknod, "p n4480 n0", ANYWHERE },
	{ "statfs", SYS_statfs, "p o120", ANYWHERE },
	{ "fstatfs", SYS_fstatfs, "d o120", ANYWHERE },
	{ "prctl, get name", SYS_prctl, "n16 o16", ANYWHERE },
	{ "prctl, set name", SYS_prctl, "n15 s", ANYWHERE },
	{ "arch_prctl", SYS_arch_prctl, "n4099 o8", ANYWHERE },
	{ "setrlimit", SYS_setrlimit, "n7 i16", ANYWHERE },
	{ "sync", SYS_sync, "", ONLY_HERE },
	{ "mount", SYS_mount, "p p s n0 n0", ONLY_HERE },
	{ "umount2", SYS_umount2, "p n0", ONLY_HERE },
	{ "sethostname", SYS_sethostname, "b8 l", ONLY_HERE },
	{ "time", SYS_time, "?o8", ANYWHERE },
	{ "futex, wake", SYS_futex, "i4 n1 n1 n0 n0 n0", ONLY_HERE },
	{ "futex, wait", SYS_futex, "i4 n0 n1 n0 n0 n0", ONLY_HERE },
	{ "sched_setaffinity", SYS_sched_setaffinity, "n0 n8 i8", ONLY_HERE },
	{ "sched_getaffinity", SYS_sched_getaffinity, "n0 n128 o8", ONLY_HERE },
	{ "getdents64", SYS_getdents64, "D w1024 l", ANYWHERE },
	{ "set_tid_address", SYS_set_tid_address, "a", ANYWHERE },
	{ "fadvise64", SYS_fadvise64, "d n0 n0 n0", ANYWHERE },
	{ "clock_settime", SYS_clock_settime, "n0 i16", ONLY_HERE },
	{ "clock_gettime", SYS_clock_gettime, "n1 o16", ANYWHERE },
	{ "clock_getres", SYS_clock_getres, "n1 ?o16", ANYWHERE },
	{ "clock_nanosleep", SYS_clock_nanosleep, "n1 n0 i16 n0", ANYWHERE },
	{ "tgkill", SYS_tgkill, "n-1 n-1 n0", ANYWHERE },
	{ "utimes", SYS_utimes, "p ?i32", ANYWHERE },
	{ "waitid", SYS_waitid, "n0 n0 ?o128 n5 ?o144", ANYWHERE },
	{ "openat", SYS_openat, "n-100 p n0 n0", ANYWHERE },
	{ "openat, from", SYS_openat, "D s n0 n0", ANYWHERE },
	{ "mkdirat", SYS_mkdirat, "n-100 p n511", ANYWHERE },
	{ "mknodat", SYS_mknodat, "n-100 p n4480 n0", ANYWHERE },
	{ "fchownat", SYS_fchownat, "n-100 p n0 n0 n0", ANYWHERE },
	{ "futimesat", SYS_futimesat, "n-100 p ?i32", ANYWHERE },
	{ "newfstatat", SYS_newfstatat, "n-100 p o144 n0", ANYWHERE },
	{ "unlinkat", SYS_unlinkat, "n-100 p n0", ANYWHERE },
	{ "renameat", SYS_renameat, "n-100 p n-100 p", ANYWHERE },
	{ "linkat", SYS_linkat, "n-100 p n-100 p n0", ANYWHERE },
	{ "symlinkat", SYS_symlinkat, "s n-100 p", ANYWHERE },
	{ "readlinkat", SYS_readlinkat, "n-100 p w64 l", ANYWHERE },
	{ "fchmodat", SYS_fchmodat, "n-100 p n384", ANYWHERE },
	{ "faccessat", SYS_faccessat, "n-100 p n0", ANYWHERE },
	{ "pselect6", SYS_pselect6, "n1 ?i128 ?i128 ?i128 o16 ?n0", ANYWHERE },
	{ "pselect6, mask", SYS_pselect6, "n1 n0 n0 n0 n0 i16", ANYWHERE },
	{ "ppoll", SYS_ppoll, "i8 n1 o16 ?i8 n8", ANYWHERE },
	{ "set_robust_list", SYS_set_robust_list, "a n24", ANYWHERE },
	{ "utimensat", SYS_utimensat, "n-100 p ?i32 n0", ANYWHERE },
	{ "fallocate", SYS_fallocate, "d n0 n0 n4096", ANYWHERE },
	{ "dup3", SYS_dup3, "d n60 n0", ANYWHERE },
	{ "pipe2", SYS_pipe2, "o8 n0", ANYWHERE },
	{ "preadv", SYS_preadv, "d v n2 n0 n0", ANYWHERE },
	{ "pwritev", SYS_pwritev, "d v n2 n0 n0", ANYWHERE },
	{ "prlimit64", SYS_prlimit64, "n0 n7 ?i16 ?o16", ANYWHERE },
	{ "syncfs", SYS_syncfs, "d", ONLY_HERE },
	{ "renameat2", SYS_renameat2, "n-100 p n-100 p n0", ANYWHERE },
	{ "getrandom", SYS_getrandom, "w64 l n0", ANYWHERE },
	{ "copy_file_range", SYS_copy_file_range, "d ?o8 e ?o8 n10 n0", ONLY_HERE },
	{ "statx", SYS_statx, "n-100 p n0 n4095 o256", ANYWHERE },
	{ "faccessat2", SYS_faccessat2, "n-100 p n0 n0", ANYWHERE },
};

struct argument {
	char kind;
	bool is_optional;
	long number;
};

static size_t parse(const char *text, struct argument *arguments)
{
	size_t count = 0;

	while (*text) {
		struct argument *argument = &arguments[count++];

		argument->is_optional = *text == '?';
		text += argument->is_optional;
		argument->kind = *text++;
		argument->number = strtol(text, (char **)(uintptr_t)&text, 10);
		while (*text == ' ')
			text++;
	}
	return count;
}

#endif
