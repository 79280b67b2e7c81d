/* The log. Each line is one JSON object, written by one write(2), so that readers see whole lines. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "blkback.h"

static int log_fd = -1;
static char line[8192];
static size_t used;

double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

void die(const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fprintf(stderr, "blkback: %s\n", text);
	if (log_fd >= 0) {
		log_begin("died", NULL);
		log_string("reason", text);
		log_end();
	}
	exit(1);
}

void log_open(const char *path)
{
	log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (log_fd < 0)
		die("%s: %m", path);
}

static void add(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	used += vsnprintf(line + used, sizeof(line) - used, format, arguments);
	va_end(arguments);
	/* The longest line by far has a hostile value of 4 KiB. log_text keeps room for the rest of the line. */
	if (used >= sizeof(line))
		used = sizeof(line) - 1;
}

void log_begin(const char *event, const char *vbd)
{
	used = 0;
	add("{\"time\":%.3f,\"event\":\"%s\"", now_ms(), event);
	if (vbd)
		log_string("vbd", vbd);
}

void log_text(const char *key, const char *value, size_t length)
{
	add(",\"%s\":\"", key);
	for (size_t i = 0; i < length && used < sizeof(line) - 1024; i++) {
		unsigned char byte = value[i];

		/* A byte beyond ASCII becomes the character with this number, so the JSON is always valid. */
		if (byte < ' ' || byte > '~' || byte == '"' || byte == '\\')
			add("\\u%04x", byte);
		else
			add("%c", byte);
	}
	add("\"");
}

void log_string(const char *key, const char *value)
{
	log_text(key, value, strlen(value));
}

void log_number(const char *key, long long value)
{
	add(",\"%s\":%lld", key, value);
}

void log_end(void)
{
	add("}\n");
	if (write(log_fd, line, used) != (ssize_t)used)
		fprintf(stderr, "blkback: log: %s\n", strerror(errno));
}
