/*
 * What a hotplug script of the name block-diskseq is when it is installed: hands its action and
 * XENBUS_PATH to the daemon and waits for the result. If there is no daemon that answers, it becomes
 * the one-shot program, which does the same work: a daemon that is stopped costs speed and nothing
 * else. docs/control-socket.md has the protocol.
 *
 * Exit status as of the one-shot program: 0 done, 1 failed with one line on stderr.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef PROGRAM
#define PROGRAM "/usr/lib/xen-blkback/dist/block-diskseq.cjs"
#endif
/* An installation names one: the PATH of a toolstack need not lead to it. */
#ifndef NODE
#define NODE "node"
#endif
#define SOCKET "/run/xen-blkback/control.sock"
#define VERSION "1"

/* A daemon that lives says within this time that it has understood, on a busy machine too. */
#define ACCEPT_MS 4000
/* The daemon has a deadline of its own; it gets this much longer to tell of it. */
#define GRACE_MS 1000
#define DEFAULT_TIMEOUT_S 30

enum outcome { DONE, FAILED, NOBODY };

static const char *action;

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What is left of the deadline that the daemon keeps as well; the default where it is nonsense. */
static long timeout_ms(void)
{
	const char *text = getenv("XEN_BLKBACK_TIMEOUT");
	double seconds = text ? atof(text) : 0;

	return (seconds > 0 && seconds <= 86400 ? seconds : DEFAULT_TIMEOUT_S) * 1000;
}

static int connect_daemon(void)
{
	const char *path = getenv("XEN_BLKBACK_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (!path || !*path)
		path = SOCKET;
	if (strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	/* Non-blocking: a daemon that hangs with a full queue must not hold us. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return -1;
	return fd;
}

/*
 * Reads one line without its end; NULL at the deadline, the end of the stream or an overlong line. The
 * line stays until the next call.
 */
static char *read_line(int fd, long deadline)
{
	static char text[4096];
	static size_t start, used;
	char *end;

	memmove(text, text + start, used - start);
	used -= start;
	start = 0;
	while (!(end = memchr(text, '\n', used)) && used < sizeof(text)) {
		struct pollfd readable = { .fd = fd, .events = POLLIN };
		long left = deadline - now_ms();
		int ready = poll(&readable, 1, left > 0 ? left : 0);
		ssize_t got;

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0 || (got = read(fd, text + used, sizeof(text) - used)) <= 0)
			return NULL;
		used += got;
	}
	if (!end)
		return NULL;
	*end = 0;
	start = end + 1 - text;
	return text;
}

static enum outcome ask(const char *path)
{
	char request[512], *line, *sentence;
	int fd = connect_daemon();
	long start = now_ms();
	long deadline = start + timeout_ms() + GRACE_MS;
	int length;

	if (fd < 0)
		return NOBODY;
	length = snprintf(request, sizeof(request), "xen-blkback " VERSION " %s %s\n", action, path);
	if (length >= (int)sizeof(request) || send(fd, request, length, MSG_NOSIGNAL) != length)
		return NOBODY;
	line = read_line(fd, start + ACCEPT_MS);
	if (!line || strcmp(line, "accepted"))
		return NOBODY;
	line = read_line(fd, deadline);
	if (!line) {
		if (now_ms() < deadline)
			return NOBODY; /* It has died. */
		fprintf(stderr, "xen-blkback: %s: the daemon does not answer\n", path);
		return FAILED;
	}
	if (!strcmp(line, "ok"))
		return DONE;
	if (strncmp(line, "failed ", 7))
		return NOBODY;
	sentence = strchr(line + 7, ' ');
	sentence = sentence ? sentence + 1 : line + 7;
	if (strstr(sentence, path))
		fprintf(stderr, "xen-blkback: %s\n", sentence);
	else
		fprintf(stderr, "xen-blkback: %s: %s\n", path, sentence);
	return FAILED;
}

/* A path that needs no second look; whatever else it is, the one-shot program words the error. */
static int is_plain(const char *path)
{
	return path && *path && strlen(path) < 200 &&
	       !path[strspn(path, "abcdefghijklmnopqrstuvwxyz0123456789/")];
}

int main(int argc, char **argv)
{
	const char *path = getenv("XENBUS_PATH");

	action = argc == 2 ? argv[1] : "";
	if ((!strcmp(action, "add") || !strcmp(action, "remove")) && is_plain(path)) {
		switch (ask(path)) {
		case DONE:
			return 0;
		case FAILED:
			return 1;
		case NOBODY:
			break;
		}
	}
	argv[0] = PROGRAM;
	{
		char *arguments[argc + 2];

		arguments[0] = NODE;
		memcpy(arguments + 1, argv, (argc + 1) * sizeof(*argv));
		execvp(NODE, arguments);
	}
	fprintf(stderr, "block-diskseq: cannot run " NODE ": %s\n", strerror(errno));
	return 1;
}
