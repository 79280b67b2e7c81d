/*
 * The installed hotplug script block-diskseq. This program hands its action and XENBUS_PATH to the daemon and
 * waits for the result. If no daemon answers, this program becomes the one-shot program, which does the same
 * work in the rest of the time. A daemon that is stopped costs speed and nothing else. docs/control-socket.md
 * has the protocol.
 *
 * Falling back is safe even after the daemon has accepted a request, if the connection has ended: add and
 * remove look at the existing state first. Devices that a dead daemon had made and not handed over have gone
 * with its descriptors. The one-shot program finds and confirms devices that the daemon had published or that
 * blkback has open.
 *
 * The exit status is that of the one-shot program: 0 for success, 1 for failure with one line on stderr.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client-clock.h"
#include "client-daemon.h"
#include "client-settings.h"

#ifndef PROGRAM
#define PROGRAM "/usr/lib/xen-blkback/dist/block-diskseq.cjs"
#endif
/* An installation sets this path, because the PATH of a toolstack need not lead to Node. */
#ifndef NODE
#define NODE "node"
#endif

/* The one-shot program gets at least this time, so that it can say what is wrong. */
#define LEAST_MS 1000
/*
 * If the fall-back took less time than this, the one-shot program is not told: the time limits that are set
 * elsewhere stay in force.
 */
#define AT_ONCE_MS 100

/* Tells whether a path needs no second look. For every other path, the one-shot program words the error. */
static int is_plain(const char *path)
{
	return path && *path && strlen(path) < 200 &&
	       !path[strspn(path, "abcdefghijklmnopqrstuvwxyz0123456789/")];
}

/* Tells whether the daemon may be asked to do this action for the vbd at `path`. */
static int is_for_daemon(const char *action, const char *path)
{
	/* With XENBUS_PREFIX, xapi only asks for a status in another place. This is no work for the daemon. */
	const char *prefix = getenv("XENBUS_PREFIX");

	return (!strcmp(action, "add") || !strcmp(action, "remove")) && is_plain(path) && !(prefix && *prefix);
}

/* Gives the one-shot program the rest of the time instead of a time of its own. */
static void pass_deadline_on(long started, long deadline)
{
	char text[32];
	long left = deadline - now_ms();

	if (now_ms() - started < AT_ONCE_MS)
		return;
	if (left < LEAST_MS)
		left = LEAST_MS;
	snprintf(text, sizeof(text), "%ld.%03ld", left / 1000, left % 1000);
	setenv("XEN_BLKBACK_TIMEOUT", text, 1);
}

/* Becomes the one-shot program with the arguments of this program. Returns only if Node cannot be run. */
static void run_one_shot(int argc, char **argv)
{
	char *arguments[argc + 2];

	arguments[0] = NODE;
	arguments[1] = PROGRAM;
	memcpy(arguments + 2, argv + 1, argc * sizeof(*argv));
	execvp(NODE, arguments);
	fprintf(stderr, "block-diskseq: cannot run " NODE ": %s\n", strerror(errno));
}

int main(int argc, char **argv)
{
	const char *path = getenv("XENBUS_PATH");
	const char *action = argc == 2 ? argv[1] : "";
	/* The start of this program, and the deadline of the work: milliseconds on the monotonic clock. */
	long started = now_ms(), deadline;

	load_config();
	deadline = started + timeout_ms();
	if (is_for_daemon(action, path)) {
		switch (ask_daemon(action, path, started, &deadline)) {
		case DONE:
			return 0;
		case FAILED:
			return 1;
		case NOBODY:
			break;
		}
	}
	pass_deadline_on(started, deadline);
	run_one_shot(argc, argv);
	return 1;
}
