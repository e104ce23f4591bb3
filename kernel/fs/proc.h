/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * proc(5). Its inodes are made at each look-up and go with their last holder. A file's
 * text is made when it is opened.
 */
#ifndef KERNEL_FS_PROC_H
#define KERNEL_FS_PROC_H

#include "fs/inode.h"
#include "fs/text.h"

struct process;

/* Mounts it upon /proc, which is there. LH_NO_MEMORY. */
LH_MUST_USE lh_error proc_mount(void);

/* Ends that, if it is mounted. => nobody uses any file. */
void proc_unmount(void);

/* As tmpfs_name_of: under the tree lock; false: not of this file system. The name lies in
 * the inode. */
bool proc_name_of(struct inode *inode, const char **name, size_t *length, struct inode **above);

/* Texts: proc_text.c of the machine, proc_process.c of one process. */
void proc_write_meminfo(struct text *text);
void proc_write_cpuinfo(struct text *text);
void proc_write_mounts(struct text *text);
void proc_write_uptime(struct text *text);
void proc_write_load(struct text *text);
void proc_write_stat(struct text *text);
void proc_write_version(struct text *text);
void proc_write_filesystems(struct text *text);
void proc_write_maps(struct text *text, struct process *process);
void proc_write_smaps(struct text *text, struct process *process);
void proc_write_process_stat(struct text *text, struct process *process);
void proc_write_process_statm(struct text *text, struct process *process);
void proc_write_status(struct text *text, struct process *process);
void proc_write_command(struct text *text, struct process *process);
void proc_write_name(struct text *text, struct process *process);

#endif
