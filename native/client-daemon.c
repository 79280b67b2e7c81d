#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client-clock.h"
#include "client-daemon.h"
#include "client-settings.h"

#define VERSION "1"
/* A live daemon accepts a request within this time, even on a busy machine. */
#define ACCEPT_MS 4000
/* The daemon has a deadline of its own. After the deadline it gets this much longer to report the result. */
#define GRACE_MS 1000
/* Bytes of an answer of the daemon. The sentences of this project are far shorter. */
#define LONGEST_LINE 4096

/* Connects to the daemon. Returns a non-blocking descriptor, or -1. */
static int connect_daemon(void)
{
	const char *path = socket_path();
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	/* Non-blocking, because a daemon that hangs with a full queue must not block this program. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return -1;
	return fd;
}

/* What the daemon has answered, as far as it has been read; the line of the last call comes first. */
static struct {
	char text[LONGEST_LINE + 1];
	size_t start, used;
} answer;

/*
 * Reads one line without its end. A line that is longer than LONGEST_LINE bytes is cut off there, because a
 * daemon that sends such a line is alive. Returns NULL at the deadline and at the end of the stream. The line
 * stays valid until the next call.
 */
static char *read_line(int fd, long until)
{
	char *text = answer.text, *end;
	size_t length;

	memmove(text, text + answer.start, answer.used - answer.start);
	answer.used -= answer.start;
	answer.start = 0;
	while (!(end = memchr(text, '\n', answer.used)) && answer.used < LONGEST_LINE) {
		struct pollfd readable = { .fd = fd, .events = POLLIN };
		long left = until - now_ms();
		int ready = poll(&readable, 1, left > 0 ? left : 0);
		ssize_t got;

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0 || (got = read(fd, text + answer.used, LONGEST_LINE - answer.used)) <= 0)
			return NULL;
		answer.used += got;
	}
	/* The rest of a line that is cut off is not needed. */
	length = end ? (size_t)(end - text) : answer.used;
	answer.start = end ? length + 1 : answer.used;
	text[length] = 0;
	return text;
}

/*
 * Tells whether the line is "accepted" or "accepted MILLISECONDS". MILLISECONDS is the time that the daemon
 * has from now on, by the settings that the daemon was started with, and it sets the deadline. Older
 * daemons leave the time out, and then the deadline stays.
 */
static int is_accepted(const char *line, long *deadline)
{
	char *end;
	long left;

	if (strncmp(line, "accepted", 8))
		return 0;
	if (!line[8])
		return 1;
	left = line[8] == ' ' ? strtol(line + 9, &end, 10) : 0;
	if (left <= 0 || left > LONGEST_TIMEOUT_S * 1000L || *end)
		return 0;
	*deadline = now_ms() + left;
	return 1;
}

enum outcome ask_daemon(const char *action, const char *path, long started, long *deadline)
{
	char request[512], *line, *sentence;
	int fd = connect_daemon();
	int length;

	if (fd < 0)
		return NOBODY;
	length = snprintf(request, sizeof(request), "xen-blkback " VERSION " %s %s\n", action, path);
	if (length >= (int)sizeof(request) || send(fd, request, length, MSG_NOSIGNAL) != length)
		return NOBODY;
	line = read_line(fd, started + ACCEPT_MS);
	if (!line || !is_accepted(line, deadline))
		return NOBODY;
	line = read_line(fd, *deadline + GRACE_MS);
	if (!line) {
		if (now_ms() < *deadline + GRACE_MS)
			return NOBODY; /* The daemon has died. */
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
