/*
 * A library to preload into a process under test. It lets some calls hang or fail as long as a file says so.
 *
 * SHORTAGE=FILE   the file has one line: "open PATH" makes opens of this device or file hang, also through
 *                 a descriptor, except with O_PATH. "threads" makes every new detached thread fail.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long (*real_syscall)(long, ...);

static void *real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

/* Returns whether the file has this line now. */
static int is_short_of(const char *what)
{
	const char *file = getenv("SHORTAGE");
	char line[PATH_MAX + 16] = "";
	FILE *stream = file ? fopen(file, "re") : NULL;

	if (!stream)
		return 0;
	if (fgets(line, sizeof(line), stream))
		line[strcspn(line, "\n")] = 0;
	fclose(stream);
	return !strcmp(line, what);
}

static void hang_at(const char *path, int flags)
{
	char target[PATH_MAX] = "", what[PATH_MAX + 16];

	if (!path || flags & O_PATH)
		return;
	if (!strncmp(path, "/proc/self/fd/", 14) && readlink(path, target, sizeof(target) - 1) > 0)
		path = target;
	snprintf(what, sizeof(what), "open %s", path);
	while (is_short_of(what))
		usleep(10000);
}

/* The addon makes its system calls by number. */
long syscall(long call, ...)
{
	long a[6];
	va_list list;

	if (!real_syscall)
		real_syscall = real("syscall");
	va_start(list, call);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (call == SYS_openat)
		hang_at((const char *)a[1], a[2]);
	return real_syscall(call, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int open(const char *path, int flags, ...)
{
	int (*next)(const char *, int, ...) = real("open");
	va_list list;
	int mode;

	va_start(list, flags);
	mode = va_arg(list, int);
	va_end(list);
	hang_at(path, flags);
	return next(path, flags, mode);
}

/* Lets only detached threads fail. Node's own threads are joinable, and Node cannot run without them. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*main)(void *), void *data)
{
	int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = real("pthread_create");
	int state = PTHREAD_CREATE_JOINABLE;

	if (attributes)
		pthread_attr_getdetachstate(attributes, &state);
	if (state == PTHREAD_CREATE_DETACHED && is_short_of("threads"))
		return EAGAIN;
	return next(thread, attributes, main, data);
}
