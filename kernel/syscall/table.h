/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System calls. Each is a function that takes its arguments in a struct call, leaves
 * its result there, and returns an lh_error; table.c alone turns errors into negative
 * errno values.
 */
#ifndef KERNEL_SYSCALL_TABLE_H
#define KERNEL_SYSCALL_TABLE_H

#include "arch/x86_64/trap_frame.h"
#include "process/process.h"

struct call {
	uint64_t a[6];		  /* arguments, as they came */
	uint64_t value;		  /* result, 0 at first */
	struct trap_frame *frame; /* the caller's registers */
	bool is_resumed;	  /* it was interrupted, and goes on */
	bool gives_up;		  /* set by a call that does not start again after a handler */
};

typedef lh_error call_function(struct call *call);

/* Arguments of narrower types: the upper half of a register means nothing then. */
static inline int32_t call_int(const struct call *call, int index)
{
	return (int32_t)(uint32_t)call->a[index];
}
static inline uint32_t call_unsigned(const struct call *call, int index)
{
	return (uint32_t)call->a[index];
}

/* The file of a descriptor argument, held. */
LH_MUST_USE lh_error call_file(const struct call *call, int index, struct file **file);

/* A path argument in kernel memory; call_path_free takes it back. => LH_NAME_TOO_LONG. */
LH_MUST_USE lh_error call_path(uint64_t address, char **path);
void call_path_free(char *path);
/* What a path argument leads to, links followed, held. */
LH_MUST_USE lh_error call_inode(uint64_t address, struct inode **inode);
/* The directory that an *at call begins at, held. LH_BAD_DESCRIPTOR, LH_NOT_DIRECTORY. */
LH_MUST_USE lh_error call_start(int32_t descriptor, const char *path, struct inode **start);

/* A time that a call was given; false in *error form: LH_INVALID for nonsense. */
LH_MUST_USE lh_error call_read_timespec(uint64_t address, uint64_t *nanoseconds);
struct linux_timespec timespec_of(uint64_t nanoseconds);
struct linux_timeval timeval_of(uint64_t nanoseconds);
/* A moment so long from now; never wraps. */
uint64_t deadline_after(uint64_t nanoseconds);

/* The same for what a call waits for at most; of a call that goes on, the moment that was meant. */
uint64_t call_deadline(const struct call *call, uint64_t nanoseconds);

/* name, number */
#define SYSTEM_CALLS(X)                                                                        \
	X(read, 0) X(write, 1) X(open, 2) X(close, 3) X(stat, 4) X(fstat, 5) X(lstat, 6)        \
	X(poll, 7) X(lseek, 8) X(mmap, 9) X(mprotect, 10) X(munmap, 11) X(brk, 12)              \
	X(rt_sigaction, 13) X(rt_sigprocmask, 14) X(rt_sigreturn, 15) X(ioctl, 16)              \
	X(pread64, 17) X(pwrite64, 18) X(readv, 19) X(writev, 20) X(access, 21) X(pipe, 22)     \
	X(select, 23) X(sched_yield, 24) X(mremap, 25) X(msync, 26) X(madvise, 28) X(dup, 32)   \
	X(dup2, 33) X(pause, 34) X(nanosleep, 35) X(getitimer, 36) X(alarm, 37)                 \
	X(setitimer, 38) X(getpid, 39) X(sendfile, 40) X(clone, 56) X(fork, 57) X(vfork, 58)    \
	X(execve, 59) X(exit, 60) X(wait4, 61) X(kill, 62) X(uname, 63) X(fcntl, 72)            \
	X(flock, 73) X(fsync, 74) X(fdatasync, 75) X(truncate, 76) X(ftruncate, 77)             \
	X(getcwd, 79) X(chdir, 80) X(fchdir, 81) X(rename, 82) X(mkdir, 83) X(rmdir, 84)        \
	X(creat, 85) X(link, 86) X(unlink, 87) X(symlink, 88) X(readlink, 89) X(chmod, 90)      \
	X(fchmod, 91) X(chown, 92) X(fchown, 93) X(lchown, 94) X(umask, 95)                     \
	X(gettimeofday, 96) X(getrlimit, 97) X(getrusage, 98) X(sysinfo, 99) X(times, 100)      \
	X(getuid, 102) X(getgid, 104) X(setuid, 105) X(setgid, 106) X(geteuid, 107)             \
	X(getegid, 108) X(setpgid, 109) X(getppid, 110) X(getpgrp, 111) X(setsid, 112)          \
	X(setreuid, 113) X(setregid, 114) X(getgroups, 115) X(setgroups, 116)                   \
	X(setresuid, 117) X(getresuid, 118) X(setresgid, 119) X(getresgid, 120) X(getpgid, 121) \
	X(getsid, 124) X(rt_sigpending, 127) X(rt_sigsuspend, 130) X(sigaltstack, 131)          \
	X(utime, 132) X(mknod, 133) X(statfs, 137) X(fstatfs, 138) X(prctl, 157)                \
	X(arch_prctl, 158) X(setrlimit, 160) X(sync, 162) X(mount, 165) X(umount2, 166)         \
	X(sethostname, 170) X(gettid, 186) X(time, 201) X(futex, 202)                           \
	X(sched_setaffinity, 203) X(sched_getaffinity, 204) X(getdents64, 217)                  \
	X(set_tid_address, 218) X(fadvise64, 221) X(clock_settime, 227) X(clock_gettime, 228)   \
	X(clock_getres, 229) X(clock_nanosleep, 230) X(exit_group, 231) X(tgkill, 234)          \
	X(utimes, 235) X(waitid, 247) X(openat, 257) X(mkdirat, 258) X(mknodat, 259)            \
	X(fchownat, 260) X(futimesat, 261) X(newfstatat, 262) X(unlinkat, 263)                  \
	X(renameat, 264) X(linkat, 265) X(symlinkat, 266) X(readlinkat, 267) X(fchmodat, 268)   \
	X(faccessat, 269) X(pselect6, 270) X(ppoll, 271) X(set_robust_list, 273)                \
	X(utimensat, 280) X(fallocate, 285) X(dup3, 292) X(pipe2, 293) X(preadv, 295)           \
	X(pwritev, 296) X(prlimit64, 302) X(syncfs, 306) X(renameat2, 316) X(getrandom, 318)    \
	X(copy_file_range, 326) X(statx, 332) X(rseq, 334) X(clone3, 435) X(faccessat2, 439)    \
	X(rt_sigtimedwait, 128) X(tkill, 200) X(get_robust_list, 274) X(getcpu, 309)

#define SYSTEM_CALL_DECLARE(name, number) call_function call_##name;
SYSTEM_CALLS(SYSTEM_CALL_DECLARE)
#undef SYSTEM_CALL_DECLARE

#endif
