/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files and mappings of them: what is coherent with what, and which errors the calls
 * give. Its output on the kernel must be that on Linux.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "guest.h"

static void say(const char *what, long result)
{
	printf("%s: %ld %s\n", what, result, result == -1 ? lh_error_name(last_error()) : "");
}

static void say_mapping(const char *what, const void *mapped)
{
	printf("%s: %s\n", what, mapped == MAP_FAILED ? lh_error_name(last_error()) : "mapped");
}

static void touch(void *address)
{
	*(volatile char *)address = 1;
}

/* How a child ends that touches the address. */
static lh_error say_touch(const char *what, char *address)
{
	int status;

	LH_TRY(run_in_child(touch, address, &status));
	printf("%s: %s\n", what, status_text(status & ~0x80));
	return LH_OK;
}

static lh_error try_coherence(int file)
{
	char byte = 0, *shared, *private;

	LH_TRY(check_call(ftruncate(file, 100)));
	shared = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	private = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	if (shared == MAP_FAILED || private == MAP_FAILED)
		return last_error();
	shared[50] = 'm';
	LH_TRY(check_call(pread(file, &byte, 1, 50)));
	printf("read sees what was stored: %c\n", byte);
	LH_TRY(check_call(pwrite(file, "w", 1, 51)));
	printf("the mappings see what was written: %c %c\n", shared[51], private[51]);
	private[52] = 'p';
	LH_TRY(check_call(pread(file, &byte, 1, 52)));
	printf("a private store is not seen: %d %d\n", byte, shared[52]);
	LH_TRY(say_touch("within the last page", shared + 200));
	LH_TRY(say_touch("past the end", shared + PAGE));
	LH_TRY(check_call(ftruncate(file, 3 * (off_t)PAGE)));
	LH_TRY(say_touch("past the old end of a file that grew", shared + PAGE));
	printf("what lay past the end was cleared: %d\n", shared[200]);
	LH_TRY(check_call(ftruncate(file, 0)));
	LH_TRY(say_touch("a shared page of a file that shrank", shared));
	return say_touch("a private page of it", private);
}

static lh_error try_mapping_errors(int file)
{
	int reader = open("/proc/self/exe", O_RDONLY), null = open("/dev/null", O_RDWR);
	int flags = MAP_PRIVATE | MAP_ANONYMOUS, access = PROT_READ | PROT_WRITE;
	char *memory = NULL;

	LH_TRY(check_call(reader));
	LH_TRY(private_pages(3, &memory));
	say_mapping("no length", mmap(NULL, 0, access, flags, -1, 0));
	say_mapping("no kind", mmap(NULL, PAGE, access, MAP_ANONYMOUS, -1, 0));
	say_mapping("all of memory", mmap(NULL, SIZE_MAX, access, flags, -1, 0));
	say_mapping("fixed and not aligned", mmap(memory + 1, PAGE, access, flags | MAP_FIXED, -1, 0));
	say_mapping("upon what is there",
		    mmap(memory, PAGE, access, flags | MAP_FIXED_NOREPLACE, -1, 0));
	say_mapping("a closed descriptor", mmap(NULL, PAGE, access, MAP_PRIVATE, 999, 0));
	say_mapping("an odd offset", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, file, 1));
	say_mapping("a file to be read only", mmap(NULL, PAGE, access, MAP_SHARED, reader, 0));
	say_mapping("/dev/null", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, null, 0));
	say("unmap nothing", munmap(memory, 0));
	say("unmap at an odd address", munmap(memory + 1, PAGE));
	LH_TRY(check_call(munmap(memory + PAGE, PAGE)));
	say("protect across a hole", mprotect(memory, 3 * PAGE, PROT_READ));
	LH_TRY(say_touch("before the hole", memory));
	LH_TRY(say_touch("after the hole", memory + 2 * PAGE));
	say("discard across a hole", madvise(memory, 3 * PAGE, MADV_DONTNEED));
	say("unmap across a hole", munmap(memory, 3 * PAGE));
	close(reader);
	close(null);
	return LH_OK;
}

/* In a directory of its own, which is removed again. */
static void try_names(void)
{
	struct stat status;
	char text[64];

	say("mkdir", mkdir("d", 0755));
	say("mkdir again", mkdir("d", 0755));
	say("open for writing", open("d", O_WRONLY));
	say("unlink a directory", unlink("d") == -1 ? 0 : 1);
	say("symlink", symlink("gone", "d/l"));
	say("stat through it", stat("d/l", &status));
	say("readlink", readlink("d/l", text, sizeof text));
	say("rmdir with something in it", rmdir("d"));
	say("rename it into itself", rename("d", "d/e"));
	say("a file as a directory", stat("f/x", &status));
	say("rename a file over a directory", rename("f", "d"));
	say("link", link("f", "g"));
	say("link again", link("f", "g"));
	printf("links: %d\n", stat("f", &status) == 0 ? (int)status.st_nlink : -1);
	say("rename over the same file", rename("f", "g"));
	say("both are there", stat("f", &status) | stat("g", &status));
	say("exclusive", open("f", O_CREAT | O_EXCL | O_RDWR, 0600));
	say("a link that leads to itself", symlink("loop", "loop") == 0 ? stat("loop", &status) : -2);
	say("rmdir .", rmdir("."));
	unlink("loop");
	unlink("d/l");
	unlink("g");
	say("rmdir", rmdir("d"));
}

static lh_error run(void)
{
	char directory[] = "/tmp/landhold-files-XXXXXX";
	int file;

	if (!mkdtemp(directory))
		return last_error();
	LH_TRY(check_call(chdir(directory)));
	file = open("f", O_CREAT | O_RDWR, 0600);
	LH_TRY(check_call(file));
	LH_TRY(try_coherence(file));
	LH_TRY(try_mapping_errors(file));
	try_names();
	close(file);
	LH_TRY(check_call(unlink("f")));
	return check_call(rmdir(directory));
}

int main(void)
{
	return report("files", run());
}
