/* The life of a vbd from probe to removal. Follows drivers/block/xen-blkback/xenbus.c. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkback.h"

bool switch_state(struct vbd *vbd, int state)
{
	char value[4];

	if (vbd->state == state)
		return true;
	snprintf(value, sizeof(value), "%d", state);
	if (!store_write(vbd, &(struct node){ "state", value }, 1))
		return false;
	vbd->state = state;
	log_begin("state", vbd->key);
	log_number("state", state);
	log_end();
	return true;
}

/* Does the work of xenbus_dev_fatal. */
void fatal(struct vbd *vbd, int error, const char *text)
{
	store_error(vbd, error, text);
	log_begin("error", vbd->key);
	log_number("errno", error);
	log_string("text", text);
	log_end();
	switch_state(vbd, CLOSING);
}

int read_state(const char *directory)
{
	char *value = store_read(directory, "state");
	int state = value ? atoi(value) : UNKNOWN;

	free(value);
	return state;
}

/* Does the work of device_unregister: removes the sysfs entry at once, and closes the device a little later. */
static void unregister(struct vbd *vbd, const char *why)
{
	char watch[4200];

	*slot(vbd->key) = vbd->next;
	sysfs_remove(vbd);
	log_begin("removed", vbd->key);
	log_string("why", why);
	log_end();
	snprintf(watch, sizeof(watch), "%s/state", vbd->frontend);
	store_unwatch(watch, vbd->key);
	/* A toolstack that has asked for the end sees state 6 even if the frontend has gone first. */
	if (read_state(vbd->nodename) == CLOSING)
		switch_state(vbd, CLOSED);
	close_later(vbd);
	free(vbd->frontend);
	free(vbd);
}

static bool is_online(const struct vbd *vbd)
{
	char *value = store_read(vbd->nodename, "online");
	bool online = value && atoi(value) != 0;

	free(value);
	return online;
}

void frontend_changed(struct vbd *vbd)
{
	if (must_wait(vbd, FRONTEND))
		return;
	switch (read_state(vbd->frontend)) {
	case INITIALISING:
		if (vbd->state == CLOSED)
			switch_state(vbd, INIT_WAIT);
		break;
	case INITIALISED:
	case CONNECTED:
		connect_frontend(vbd);
		break;
	case CLOSING:
		switch_state(vbd, CLOSING);
		break;
	case CLOSED:
		switch_state(vbd, CLOSED);
		/* A guest that reboots closes its frontend, too. Then the device stays open. */
		if (!is_online(vbd))
			unregister(vbd, "frontend closed");
		break;
	case UNKNOWN:
		unregister(vbd, "frontend gone");
		break;
	}
}

void probe(const char *key)
{
	struct vbd *vbd = calloc(1, sizeof(*vbd));
	char *id = NULL, *frontend_node = NULL;
	char watch[4200];

	snprintf(vbd->key, sizeof(vbd->key), "%s", key);
	snprintf(vbd->nodename, sizeof(vbd->nodename), "backend/vbd/%s", key);
	vbd->state = UNKNOWN;
	if (options.no_probe || read_state(vbd->nodename) != INITIALISING)
		goto not_ours;
	id = store_read(vbd->nodename, "frontend-id");
	vbd->frontend = store_read(vbd->nodename, "frontend");
	/* The driver makes a device only for a frontend that exists. */
	if (!id || !vbd->frontend || !*vbd->frontend || strlen(vbd->frontend) > 4000)
		goto not_ours;
	frontend_node = store_read(vbd->frontend, "");
	if (!frontend_node)
		goto not_ours;
	snprintf(vbd->name, sizeof(vbd->name), "vbd-%d-%.32s", atoi(id), strchr(key, '/') + 1);
	*slot(key) = vbd;
	sysfs_add(vbd);
	log_begin("probe", vbd->key);
	log_string("frontend", vbd->frontend);
	log_end();
	if (options.diskseq)
		store_write(vbd, &(struct node){ "opened", "0" }, 1);
	store_write(vbd, (struct node[]){ { "feature-max-indirect-segments", "256" },
					  { "multi-queue-max-queues", "2" },
					  { "max-ring-page-order", "4" } }, 3);
	switch_state(vbd, INIT_WAIT);
	snprintf(watch, sizeof(watch), "%s/state", vbd->frontend);
	store_watch(watch, vbd->key);
	/* A physical-device that was written before the probe counts, too. */
	backend_changed(vbd);
	vbd = NULL;
not_ours:
	free(id);
	free(frontend_node);
	if (vbd)
		free(vbd->frontend);
	free(vbd);
}

/* Checks a vbd after the backend directory, or one above it, was made, removed, or both. */
void check_backend(struct vbd *vbd)
{
	char key[sizeof(vbd->key)];
	char *state;

	strcpy(key, vbd->key);
	if (must_wait(vbd, BACKEND))
		return;
	state = store_read(vbd->nodename, "state");
	/*
	 * A state that has gone back to 1 belongs to a new instance. The driver compares only the path and can miss
	 * this. The stand-in notices it, because otherwise tests would hang.
	 */
	if (!state || strcmp(state, "1") == 0) {
		unregister(vbd, state ? "backend made anew" : "backend gone");
		if (state)
			probe(key);
	}
	free(state);
}

/*
 * Returns whether the handling of a change must wait, and remembers the change. In the driver, one thread handles all
 * events in turn, so every change waits while this thread opens a device or is stuck. Here only changes of the
 * same vbd wait, so that a test can go on with other vbds.
 */
bool must_wait(struct vbd *vbd, unsigned change)
{
	if (!vbd->opening && !is_held(HELD_EVENTS, vbd->key))
		return false;
	vbd->recheck |= change;
	return true;
}

/* Handles the changes that had to wait. */
void catch_up(struct vbd *vbd)
{
	unsigned recheck = vbd->recheck;
	char key[sizeof(vbd->key)];

	if (vbd->opening || is_held(HELD_EVENTS, vbd->key))
		return;
	strcpy(key, vbd->key);
	vbd->recheck = 0;
	if (recheck & BACKEND)
		check_backend(vbd);
	if (recheck & FRONTEND && *slot(key) == vbd)
		frontend_changed(vbd);
	if (recheck & DEVICE && *slot(key) == vbd)
		backend_changed(vbd);
}
