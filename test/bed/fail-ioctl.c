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
