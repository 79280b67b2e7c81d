/*
 * A library to preload into a process under test. It lets some ioctls, or the opening of one file or device, fail
 * without carrying them out, or delays some ioctls.
 *
 * FAIL_REQUEST=HEX,…  the requests that fail, such as c138fd09 (DM_TABLE_LOAD)
 * FAIL_OPEN=PATH      the file whose open through /proc/self/fd fails, except with O_PATH
 * FAIL_OPENAT2=1      makes every openat2(2) fail
 * FAIL_ERRNO=N        the error
 * DELAY_MS=N          how long the requests wait before they are carried out, instead of failing; milliseconds
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_wanted(unsigned long request)
{
	const char *wanted = getenv("FAIL_REQUEST");
	char *end;

	while (wanted && *wanted) {
		/* A request has 32 bits, and some callers extend its sign. */
		if ((request & 0xffffffff) == strtoul(wanted, &end, 16))
			return 1;
		wanted = *end == ',' ? end + 1 : NULL;
	}
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*next)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
	const char *error = getenv("FAIL_ERRNO");
	const char *delay = getenv("DELAY_MS");
	va_list list;
	void *argument;

	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	if (error && is_wanted(request)) {
		errno = atoi(error);
		return -1;
	}
	if (delay && is_wanted(request))
		usleep(atoi(delay) * 1000);
	return next(fd, request, argument);
}

static int is_refused(const char *path, int flags)
{
	const char *wanted = getenv("FAIL_OPEN");
	char leads_to[PATH_MAX];
	ssize_t length;

	if (!wanted || flags & O_PATH || strncmp(path, "/proc/self/fd/", 14))
		return 0;
	length = readlink(path, leads_to, sizeof(leads_to) - 1);
	if (length < 0)
		return 0;
	leads_to[length] = 0;
	return strcmp(leads_to, wanted) == 0;
}

/* The addon makes all of its system calls by number. */
long syscall(long call, ...)
{
	long (*next)(long, ...) = dlsym(RTLD_NEXT, "syscall");
	const char *error = getenv("FAIL_ERRNO");
	long a[6];
	va_list list;

	va_start(list, call);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (call == SYS_ioctl)
		return ioctl(a[0], a[1], (void *)a[2]);
	if (error && call == SYS_openat2 && getenv("FAIL_OPENAT2")) {
		errno = atoi(error);
		return -1;
	}
	if (error && call == SYS_openat && is_refused((const char *)a[1], a[2])) {
		errno = atoi(error);
		return -1;
	}
	return next(call, a[0], a[1], a[2], a[3], a[4], a[5]);
}
