/* Access to XenStore through libxenstore, and the formats of the nodes that blkback reads. */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

#include "blkback.h"

static struct xs_handle *xs;

void store_open(void)
{
	/* Drops the events of a removed watch, which may belong to an earlier instance under the same path. */
	xs = xs_open(XS_UNWATCH_FILTER);
	if (!xs)
		die("cannot reach xenstored: %m");
}

void store_close(void)
{
	xs_close(xs);
}

int store_fd(void)
{
	return xs_fileno(xs);
}

/* Accepts errors that xenstored answers. Dies of any other error: xenstored is gone, which a kernel never sees. */
static void check_connection(const char *what)
{
	switch (errno) {
	case ENOENT:
	case EAGAIN:
	case EACCES:
	case EINVAL:
	case ENOTDIR:
	case E2BIG:
		return;
	default:
		die("lost xenstored in %s: %m", what);
	}
}

/* Returns the path of the next watch event, or NULL if there is none now. The caller frees path and token. */
char *store_event(char **token)
{
	char **event = xs_check_watch(xs);
	char *path;

	if (!event) {
		check_connection("a watch");
		return NULL;
	}
	path = strdup(event[XS_WATCH_PATH]);
	*token = strdup(event[XS_WATCH_TOKEN]);
	free(event);
	return path;
}

/* Returns the NUL-terminated value of a node, or NULL if there is none. The caller frees the value. */
char *store_read(const char *directory, const char *name)
{
	char path[4096];
	char *value;

	snprintf(path, sizeof(path), "%s%s%s", directory, *name ? "/" : "", name);
	value = xs_read(xs, XBT_NULL, path, NULL);
	if (!value)
		check_connection(path);
	return value;
}

char **store_list(const char *path, unsigned *count)
{
	char **names = xs_directory(xs, XBT_NULL, path, count);

	if (!names) {
		check_connection(path);
		*count = 0;
	}
	return names;
}

void store_watch(const char *path, const char *token)
{
	if (!xs_watch(xs, path, token))
		die("cannot watch %s: %m", path);
}

void store_unwatch(const char *path, const char *token)
{
	if (!xs_unwatch(xs, path, token))
		check_connection(path);
}

/*
 * Writes nodes below a backend. Returns false, and writes nothing, if the backend is gone, because a write below a
 * deleted backend would bring it back.
 */
bool store_write(const struct vbd *vbd, const struct node *nodes, size_t count)
{
	char path[256];

	for (;;) {
		xs_transaction_t transaction = xs_transaction_start(xs);
		char *frontend;

		if (transaction == XBT_NULL)
			die("cannot start a transaction: %m");
		snprintf(path, sizeof(path), "%s/frontend", vbd->nodename);
		frontend = xs_read(xs, transaction, path, NULL);
		if (!frontend) {
			xs_transaction_end(xs, transaction, true);
			return false;
		}
		free(frontend);
		for (size_t i = 0; i < count; i++) {
			snprintf(path, sizeof(path), "%s/%s", vbd->nodename, nodes[i].name);
			if (!xs_write(xs, transaction, path, nodes[i].value, strlen(nodes[i].value)))
				die("cannot write %s: %m", path);
		}
		if (xs_transaction_end(xs, transaction, false))
			return true;
		if (errno != EAGAIN)
			die("cannot commit below %s: %m", vbd->nodename);
	}
}

/* Writes the error node. It lies outside the backend directory and outlives it, as the kernel's does. */
void store_error(const struct vbd *vbd, int error, const char *text)
{
	char path[256], value[256];
	int length = snprintf(value, sizeof(value), "%d %s", error, text);

	snprintf(path, sizeof(path), "error/%s/error", vbd->nodename);
	if (!xs_write(xs, XBT_NULL, path, value, length))
		die("cannot write %s: %m", path);
}

/* Reads one %x as the kernel's vsscanf does: skips blanks, and allows 0x but no sign. */
static const char *scan_hex(const char *text, unsigned *number)
{
	while (isspace((unsigned char)*text))
		text++;
	if (!isxdigit((unsigned char)*text))
		return NULL;
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	for (*number = 0; isxdigit((unsigned char)*text); text++)
		*number = *number * 16 + (isdigit((unsigned char)*text) ? *text - '0' : (*text | 0x20) - 'a' + 10);
	return text;
}

/* Reads numbers as the kernel's sscanf(text, "%x:%x") does, ignores the rest, and returns their count. */
int scan_physical_device(const char *text, unsigned *major, unsigned *minor)
{
	text = scan_hex(text, major);
	if (!text)
		return 0;
	if (*text++ != ':')
		return 1;
	return scan_hex(text, minor) ? 2 : 1;
}

/* Reads the strict format of the diskseq series: 1 to 16 lower-case hex digits without a leading zero. */
bool scan_diskseq(const char *text, size_t length, uint64_t *diskseq)
{
	if (length < 1 || length > 16 || text[0] == '0' || strspn(text, "0123456789abcdef") < length)
		return false;
	*diskseq = strtoull(text, NULL, 16);
	return true;
}
