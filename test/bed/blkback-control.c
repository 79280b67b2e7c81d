/* The actions that are held back, and the commands by which a test holds and releases them at run time. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blkback.h"

/* One `hold`. Its key names a vbd, which need not exist yet, or is `*` for all vbds. */
struct hold {
	struct hold *next;
	enum held what;
	char key[64];
};
static struct hold *holds;

static const char *const names[] = { [HELD_OPEN] = "open", [HELD_CLOSE] = "close", [HELD_EVENTS] = "events" };
#define KINDS ((int)(sizeof(names) / sizeof(*names)))

bool is_for(const char *pattern, const char *key)
{
	return strcmp(pattern, "*") == 0 || strcmp(pattern, key) == 0;
}

bool is_held(enum held what, const char *key)
{
	for (const struct hold *hold = holds; hold; hold = hold->next)
		if (hold->what == what && is_for(hold->key, key))
			return true;
	return false;
}

void hold(enum held what, const char *key)
{
	struct hold *new = calloc(1, sizeof(*new));

	new->what = what;
	snprintf(new->key, sizeof(new->key), "%s", key);
	new->next = holds;
	holds = new;
}

/* Lifts the holds of this key, or all holds of this kind for `*`, and does the actions that have waited. */
static void release(enum held what, const char *key)
{
	for (struct hold **at = &holds; *at;) {
		struct hold *this = *at;

		if (this->what == what && is_for(key, this->key)) {
			*at = this->next;
			free(this);
		} else {
			at = &this->next;
		}
	}
	if (what == HELD_OPEN)
		release_opens(key);
	else if (what == HELD_CLOSE)
		release_closes(key);
	else
		release_events(key);
}

static void obey(const char *command)
{
	char verb[8], noun[8], key[64];
	int what = 0;

	if (sscanf(command, "%7[a-z]-%7[a-z] %63s", verb, noun, key) != 3)
		die("command %s: VERB-NOUN KEY is expected", command);
	while (what < KINDS && strcmp(noun, names[what]) != 0)
		what++;
	if (what == KINDS || (strcmp(verb, "hold") != 0 && strcmp(verb, "release") != 0))
		die("command %s: hold or release, and open, close or events are known", command);
	if (*verb == 'h')
		hold(what, key);
	else
		release(what, key);
	/* Logged only now, so that a reader of the log knows that the command has been carried out. */
	log_begin("control", NULL);
	log_string("text", command);
	log_end();
}

/* Makes the FIFO and opens it. The process also opens it for writing, so that it never sees an end of file. */
int control_open(const char *path)
{
	int fd;

	unlink(path);
	if (mkfifo(path, 0600) < 0 || (fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0)
		die("%s: %m", path);
	return fd;
}

/* Reads commands, one a line, and carries them out. Writers write whole lines. */
void control_read(int fd)
{
	char text[4096];
	ssize_t length = read(fd, text, sizeof(text) - 1);

	if (length < 0 && errno != EAGAIN)
		die("control: %m");
	text[length > 0 ? length : 0] = 0;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
		if (*line)
			obey(line);
}
