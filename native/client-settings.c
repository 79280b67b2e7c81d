#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client-settings.h"

#ifndef CONFIG
#define CONFIG "/etc/xen/xen-blkback.conf"
#endif
/* Earlier versions had the settings of the daemon in this file. */
#ifndef OLD_CONFIG
#define OLD_CONFIG "/etc/default/xen-blkback"
#endif
/* Bytes of a configuration file. */
#define LONGEST_CONFIG 65536
#define SOCKET "/run/xen-blkback/control.sock"

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

void load_config(void)
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

long timeout_ms(void)
{
	const char *text = setting("XEN_BLKBACK_TIMEOUT", configured_timeout);
	double seconds = text ? atof(text) : 0;

	return (seconds > 0 && seconds <= LONGEST_TIMEOUT_S ? seconds : DEFAULT_TIMEOUT_S) * 1000;
}

const char *socket_path(void)
{
	const char *path = setting("XEN_BLKBACK_SOCKET", configured_socket);

	return path ? path : SOCKET;
}
