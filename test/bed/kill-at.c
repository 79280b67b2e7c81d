/*
 * A library to preload into a process under test. It kills the process with SIGKILL at the Nth call that changes
 * anything outside the process, counted over all threads. It is sharper than strace's --inject, which counts per
 * thread and slows the races down.
 *
 * KILL_AT=N      the number of the call; 0 only counts
 * KILL_WHAT=CALL counts only these calls, which are named as in the log
 * KILL_WHEN=before|after
 * KILL_LOG=FILE  the file that gets a line per call, so that a test can see which calls it has covered
 *
 * It counts ioctls of loop and device-mapper, XenStore requests that write, calls that make, write, rename or
 * remove files, requests for uevents, and the closing of block devices and XenStore connections.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long calls, calls_of_kind;

static void *real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

static void note(const char *what, long number)
{
	const char *path = getenv("KILL_LOG");
	ssize_t (*write_)(int, const void *, size_t) = real("write");
	int (*open_)(const char *, int, ...) = real("open");
	int (*close_)(int) = real("close");
	char line[128];
	int fd, length;

	if (!path)
		return;
	fd = open_(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	length = snprintf(line, sizeof(line), "%ld %s\n", number, what);
	if (write_(fd, line, length) != length)
		abort();
	close_(fd);
}

static void strike(const char *when, long number)
{
	const char *at = getenv("KILL_AT");
	const char *wanted = getenv("KILL_WHEN");

	if (at && atol(at) == number && !strcmp(wanted ? wanted : "before", when))
		kill(getpid(), SIGKILL);
}

/* Marks the start of a call that changes something. Returns its number among the calls of KILL_WHAT, or -1. */
static long enter(const char *what)
{
	const char *kind = getenv("KILL_WHAT");
	int saved = errno;
	long number;

	pthread_mutex_lock(&lock);
	number = ++calls;
	note(what, number);
	if (kind)
		number = strcmp(kind, what) ? -1 : ++calls_of_kind;
	strike("before", number);
	pthread_mutex_unlock(&lock);
	errno = saved;
	return number;
}

static void leave(long number)
{
	int saved = errno;

	strike("after", number);
	errno = saved;
}

static mode_t kind_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_mode & S_IFMT;
}

/* Returns whether a request does not change the store. The types are those of xs_wire.h. */
static int only_reads(uint32_t type)
{
	return type == 1 /* DIRECTORY */ || type == 2 /* READ */ ||
	       type == 3 /* GET_PERMS */ || type == 22 /* DIRECTORY_PART */;
}

/* Returns whether a write contains more than XenStore requests that only read. It may contain several requests. */
static int changes_store(const void *data, size_t size)
{
	const char *at = data;
	uint32_t header[4];

	while (size >= sizeof(header)) {
		memcpy(header, at, sizeof(header));
		if (!only_reads(header[0]) || header[3] > size - sizeof(header))
			return 1;
		at += sizeof(header) + header[3];
		size -= sizeof(header) + header[3];
	}
	return size > 0;
}

ssize_t write(int fd, const void *data, size_t size)
{
	ssize_t (*next)(int, const void *, size_t) = real("write");
	mode_t kind = fd > 2 ? kind_of(fd) : 0;
	long number;
	ssize_t result;

	if (kind != S_IFREG && !(kind == S_IFSOCK && changes_store(data, size)))
		return next(fd, data, size);
	number = enter(kind == S_IFREG ? "write file" : "write XenStore");
	result = next(fd, data, size);
	leave(number);
	return result;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	ssize_t (*next)(int, const void *, size_t, off_t) = real("pwrite");
	long number = enter("pwrite file");
	ssize_t result = next(fd, data, size, offset);

	leave(number);
	return result;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
	__attribute__((alias("pwrite")));

static int changes_devices(unsigned long request)
{
	unsigned char number = request & 0xff;

	/* loop.h: GET_STATUS64 changes nothing, and neither does BLK*. */
	if ((request & 0xffffff00) == 0x4c00)
		return number != 0x05;
	/* dm-ioctl.h: VERSION, LIST_DEVICES, DEV_STATUS, TABLE_DEPS, TABLE_STATUS, LIST_VERSIONS change nothing. */
	if ((request & 0xff00) == 0xfd00)
		return number && number != 2 && number != 7 && (number < 11 || number > 13);
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*next)(int, unsigned long, ...) = real("ioctl");
	char what[32];
	va_list list;
	void *argument;
	long number;
	int result;

	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	if (!changes_devices(request))
		return next(fd, request, argument);
	snprintf(what, sizeof(what), "ioctl %lx", request & 0xffffffff);
	number = enter(what);
	result = next(fd, request, argument);
	leave(number);
	return result;
}

int close(int fd)
{
	int (*next)(int) = real("close");
	mode_t kind = kind_of(fd);
	long number;
	int result;

	if (kind != S_IFBLK && kind != S_IFSOCK)
		return next(fd);
	number = enter(kind == S_IFBLK ? "close block device" : "close socket");
	result = next(fd);
	leave(number);
	return result;
}

/* libuv closes by number, so that a close is no cancellation point. The addon makes all calls by number. */
long syscall(long call, ...)
{
	long (*next)(long, ...) = real("syscall");
	long a[6];
	va_list list;

	va_start(list, call);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (call == SYS_close)
		return close(a[0]);
	if (call == SYS_ioctl)
		return ioctl(a[0], a[1], (void *)a[2]);
	return next(call, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#define CHANGES_PATHS(name, parameters, arguments)                             \
	int name parameters                                                    \
	{                                                                      \
		int(*next) parameters = real(#name);                           \
		long number = enter(#name);                                    \
		int result = next arguments;                                   \
		leave(number);                                                 \
		return result;                                                 \
	}

CHANGES_PATHS(rename, (const char *from, const char *to), (from, to))
CHANGES_PATHS(unlink, (const char *path), (path))
CHANGES_PATHS(rmdir, (const char *path), (path))
CHANGES_PATHS(mkdir, (const char *path, mode_t mode), (path, mode))

#define CREATES_FILES(name)                                                    \
	int name(const char *path, int flags, ...)                             \
	{                                                                      \
		int (*next)(const char *, int, ...) = real(#name);             \
		long number = flags & O_CREAT ? enter(#name) : 0;              \
		va_list list;                                                  \
		int mode, result;                                              \
		va_start(list, flags);                                         \
		mode = va_arg(list, int);                                      \
		va_end(list);                                                  \
		result = next(path, flags, mode);                              \
		if (number)                                                    \
			leave(number);                                         \
		return result;                                                 \
	}

CREATES_FILES(open)
CREATES_FILES(open64)
