/*
 * Preloaded into a process under test: lets one kind of ioctl fail without it being done.
 *
 * FAIL_REQUEST=HEX   the request, as in c138fd09 (DM_TABLE_LOAD)
 * FAIL_ERRNO=N       the error
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>

int ioctl(int fd, unsigned long request, ...)
{
	int (*next)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
	const char *wanted = getenv("FAIL_REQUEST");
	const char *error = getenv("FAIL_ERRNO");
	va_list list;
	void *argument;

	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	/* A request is 32 bits; some callers extend its sign. */
	if (wanted && error && (request & 0xffffffff) == strtoul(wanted, NULL, 16)) {
		errno = atoi(error);
		return -1;
	}
	return next(fd, request, argument);
}

/* The addon makes all of its calls by number. */
long syscall(long call, ...)
{
	long (*next)(long, ...) = dlsym(RTLD_NEXT, "syscall");
	long a[6];
	va_list list;

	va_start(list, call);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (call == SYS_ioctl)
		return ioctl(a[0], a[1], (void *)a[2]);
	return next(call, a[0], a[1], a[2], a[3], a[4], a[5]);
}
