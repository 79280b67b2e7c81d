/*
 * Runs hotplug scripts as a toolstack does, and measures each from just before its exec to its end. The size of
 * the process that asks for the run does not affect the times.
 *
 *     stopwatch PROGRAM ARGUMENT...
 *
 * Each line on stdin is a backend path. The stopwatch starts PROGRAM at once with this path as XENBUS_PATH. When
 * PROGRAM has ended, the stopwatch prints a line `path exit-status start end`, with the times in microseconds of
 * CLOCK_MONOTONIC.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct run {
	struct run *next;
	pid_t pid;
	double start;
	char *path;
};
static struct run *runs;

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static void start(char **argv, const char *path)
{
	struct run *run = calloc(1, sizeof(*run));
	posix_spawnattr_t attributes;
	sigset_t none;
	int error;

	sigemptyset(&none);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attributes, &none);
	run->path = strdup(path);
	setenv("XENBUS_PATH", path, 1);
	run->next = runs;
	runs = run;
	run->start = now_us();
	error = posix_spawnp(&run->pid, argv[0], NULL, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	if (error) {
		fprintf(stderr, "stopwatch: %s: %s\n", argv[0], strerror(error));
		exit(1);
	}
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		double end = now_us();
		struct run **at, *run;

		for (at = &runs; (*at)->pid != pid; at = &(*at)->next)
			;
		run = *at;
		*at = run->next;
		printf("%s %d %.0f %.0f\n", run->path,
		       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), run->start, end);
		free(run->path);
		free(run);
	}
	fflush(stdout);
}

/* Starts the program for each complete line. Returns false at the end of the input. */
static int read_lines(char **argv)
{
	static char text[1 << 16];
	static size_t used;
	ssize_t got = read(0, text + used, sizeof(text) - used);
	char *line = text, *end;

	if (got <= 0)
		return 0;
	used += got;
	while ((end = memchr(line, '\n', text + used - line))) {
		*end = 0;
		start(argv, line);
		line = end + 1;
	}
	used -= line - text;
	memmove(text, line, used);
	return 1;
}

int main(int argc, char **argv)
{
	struct signalfd_siginfo signal;
	struct pollfd fds[2] = { { .fd = 0, .events = POLLIN }, { .events = POLLIN } };
	sigset_t child;

	if (argc < 2) {
		fputs("usage: stopwatch PROGRAM ARGUMENT...\n", stderr);
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	fds[1].fd = signalfd(-1, &child, SFD_CLOEXEC);
	setenv("XENBUS_TYPE", "vbd", 1);
	setenv("XENBUS_BASE_PATH", "backend", 1);
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return 1;
		if (fds[1].revents && read(fds[1].fd, &signal, sizeof(signal)) > 0)
			reap();
		if (fds[0].revents && !read_lines(argv + 1))
			return 0;
	}
}
