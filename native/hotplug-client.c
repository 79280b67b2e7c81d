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
#include <fcntl.h>
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
/* An installation sets this path, because the PATH of a toolstack need not lead to Node. */
#ifndef NODE
#define NODE "node"
#endif
/* The daemon and the one-shot program read this file too: src/cli/config-file.ts, docs/configuration.md. */
#ifndef CONFIG
#define CONFIG "/etc/xen/xen-blkback.conf"
#endif
/* Earlier versions had the settings of the daemon in this file. */
#ifndef OLD_CONFIG
#define OLD_CONFIG "/etc/default/xen-blkback"
#endif
#define LONGEST_CONFIG 65536
#define SOCKET "/run/xen-blkback/control.sock"
#define VERSION "1"

/* A live daemon accepts a request within this time, even on a busy machine. */
#define ACCEPT_MS 4000
/* The daemon has a deadline of its own. After the deadline it gets this much longer to report the result. */
#define GRACE_MS 1000
#define DEFAULT_TIMEOUT_S 30
#define LONGEST_TIMEOUT_S 86400
/* Bytes of an answer of the daemon. The sentences of this project are far shorter. */
#define LONGEST_LINE 4096
/* The one-shot program gets at least this time, so that it can say what is wrong. */
#define LEAST_MS 1000
/*
 * If the fall-back took less time than this, the one-shot program is not told: the time limits that are set
 * elsewhere stay in force.
 */
#define AT_ONCE_MS 100

enum outcome { DONE, FAILED, NOBODY };

static const char *action;

/* The start of this program, and the deadline of the work: milliseconds on the monotonic clock. */
static long started, deadline;

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * Reads a whole configuration file into `text`. The text is empty if there is no file or it cannot be read.
 */
static void read_config(const char *path, char *text)
{
	size_t used = 0;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	while (fd >= 0 && used <= LONGEST_CONFIG &&
	       (got = read(fd, text + used, LONGEST_CONFIG + 1 - used)) > 0)
		used += got;
	/* A longer file is no configuration file. */
	text[used <= LONGEST_CONFIG ? used : 0] = 0;
	if (fd >= 0)
		close(fd);
}

/*
 * Cuts a value off at its end: at its closing quote, at a comment, or at the blanks at the end of its line.
 * Returns the start of the value.
 */
static char *cut_value(char *value, int has_comments)
{
	char *end = value + strlen(value), *hash;

	if (*value == '"' || *value == '\'') {
		char *quote = strchr(value + 1, *value);

		if (quote) {
			*quote = 0;
			return value + 1;
		}
	}
	for (hash = value; has_comments && (hash = strchr(hash, '#')); hash++) {
		if (hash == value || hash[-1] == ' ' || hash[-1] == '\t') {
			end = hash;
			break;
		}
	}
	while (end > value && strchr(" \t\r", end[-1]))
		end--;
	*end = 0;
	return value;
}

/*
 * Returns the value of `key`, or NULL if it is not set. Other mistakes in the file are reported by the
 * one-shot program and the daemon. The value is a copy, which is never freed.
 */
static const char *find_value(const char *text, const char *key, int has_blanks)
{
	size_t length = strlen(key);
	const char *line = text;
	char *value;

	while (line) {
		const char *end = strchr(line, '\n');

		line += strspn(line, " \t");
		if (!strncmp(line, key, length)) {
			const char *after = line + length;

			if (has_blanks)
				after += strspn(after, " \t");
			if (*after == '=') {
				after++;
				after += strspn(after, " \t");
				value = strndup(after, end ? (size_t)(end - after) : strlen(after));
				return value ? cut_value(value, has_blanks) : NULL;
			}
		}
		line = end ? end + 1 : NULL;
	}
	return NULL;
}

/* The settings in the configuration files, or NULL. */
static const char *configured_timeout, *configured_socket;

static void load_config(void)
{
	static char text[LONGEST_CONFIG + 2];
	const char *path = getenv("XEN_BLKBACK_CONFIG");

	read_config(path && *path ? path : CONFIG, text);
	configured_timeout = find_value(text, "timeout", 1);
	configured_socket = find_value(text, "socket", 1);
	if ((path && *path) || (configured_timeout && configured_socket))
		return;
	read_config(OLD_CONFIG, text);
	if (!configured_timeout)
		configured_timeout = find_value(text, "XEN_BLKBACK_TIMEOUT", 0);
	if (!configured_socket)
		configured_socket = find_value(text, "XEN_BLKBACK_SOCKET", 0);
}

/* Returns a setting from the environment, or else from the configuration; NULL if neither has it. */
static const char *setting(const char *variable, const char *configured)
{
	const char *text = getenv(variable);

	if (text && *text)
		return text;
	return configured && *configured ? configured : NULL;
}

/* Returns the time limit in milliseconds. The default replaces a value that makes no sense. */
static long timeout_ms(void)
{
	const char *text = setting("XEN_BLKBACK_TIMEOUT", configured_timeout);
	double seconds = text ? atof(text) : 0;

	return (seconds > 0 && seconds <= LONGEST_TIMEOUT_S ? seconds : DEFAULT_TIMEOUT_S) * 1000;
}

/* Connects to the daemon. Returns a non-blocking descriptor, or -1. */
static int connect_daemon(void)
{
	const char *path = setting("XEN_BLKBACK_SOCKET", configured_socket);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (!path)
		path = SOCKET;
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
 * has from now on, by the settings that the daemon was started with, and it sets the deadline here. Older
 * daemons leave the time out, and then the deadline of this program stays.
 */
static int is_accepted(const char *line)
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
	deadline = now_ms() + left;
	return 1;
}

/*
 * Hands the action for the vbd at `path` to the daemon. Returns NOBODY if the one-shot program has to do the
 * work.
 */
static enum outcome ask(const char *path)
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
	if (!line || !is_accepted(line))
		return NOBODY;
	line = read_line(fd, deadline + GRACE_MS);
	if (!line) {
		if (now_ms() < deadline + GRACE_MS)
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

/* Tells whether a path needs no second look. For every other path, the one-shot program words the error. */
static int is_plain(const char *path)
{
	return path && *path && strlen(path) < 200 &&
	       !path[strspn(path, "abcdefghijklmnopqrstuvwxyz0123456789/")];
}

/* Gives the one-shot program the rest of the time instead of a time of its own. */
static void pass_deadline_on(void)
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

int main(int argc, char **argv)
{
	const char *path = getenv("XENBUS_PATH");
	/*
	 * With XENBUS_PREFIX, xapi only asks for a status in another place. This is no work for the daemon.
	 */
	const char *prefix = getenv("XENBUS_PREFIX");

	started = now_ms();
	load_config();
	deadline = started + timeout_ms();
	action = argc == 2 ? argv[1] : "";
	if ((!strcmp(action, "add") || !strcmp(action, "remove")) && is_plain(path) &&
	    !(prefix && *prefix)) {
		switch (ask(path)) {
		case DONE:
			return 0;
		case FAILED:
			return 1;
		case NOBODY:
			break;
		}
	}
	pass_deadline_on();
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
