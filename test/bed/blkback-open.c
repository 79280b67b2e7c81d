/* Opens the device that physical-device names, serves a frontend with it, and closes it again. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blkback.h"

/* A device whose vbd is gone already. The kernel closes such a device later, from a work item. */
struct closing {
	struct closing *next;
	struct timer timer;
	bool held;		/* closed by a release, not by a timer */
	void *device;
	char key[64], dev[24], diskseq[24];
};
static struct closing *closings;

void open_now(void *data)
{
	struct vbd *vbd = data;
	struct identity *identity = &vbd->identity;
	void *device = device_open(vbd->major, vbd->minor, vbd->writable, identity);
	bool mismatch;
	char dev[24];

	vbd->opening = vbd->held = false;
	snprintf(dev, sizeof(dev), "%x:%x", vbd->major, vbd->minor);
	if (!device) {
		log_begin("failed", vbd->key);
		log_string("dev", dev);
		log_number("errno", errno);
		log_end();
		vbd->major = vbd->minor = 0;
		/* The driver reports ENOENT for every cause. */
		fatal(vbd, ENOENT, "creating vbd structure");
		catch_up(vbd);
		return;
	}
	snprintf(vbd->diskseq, sizeof(vbd->diskseq), "%llu", (unsigned long long)identity->diskseq);
	/* The line comes before any other sign of the open, so that a test that has seen the sign finds the line. */
	mismatch = vbd->expected && vbd->expected != identity->diskseq;
	log_begin(mismatch ? "refused" : "opened", vbd->key);
	log_string("dev", dev);
	log_string("diskseq", vbd->diskseq);
	log_string("mode", vbd->mode);
	log_number("size", identity->size);
	log_number("readOnly", identity->read_only);
	log_number("sectorSize", identity->sector_size);
	log_text("bytes", identity->bytes, identity->length);
	log_end();
	if (mismatch) {
		device_close(device);
		vbd->major = vbd->minor = 0;
		fatal(vbd, ENODEV, "creating vbd structure");
	} else {
		vbd->device = device;
		sysfs_add_attributes(vbd);
		if (options.diskseq)
			store_write(vbd, &(struct node){ "opened", "1" }, 1);
		connect_frontend(vbd);
	}
	catch_up(vbd);
}

/* Reads the diskseq that the opened device must have. Returns false if the diskseq is malformed. */
static bool read_expected(const struct vbd *vbd, const char **physical_device, uint64_t *expected)
{
	const char *at = strchr(*physical_device, '@');
	char *node;
	bool good;

	*expected = 0;
	if (!options.diskseq)
		return true;
	if (at) {
		good = scan_diskseq(*physical_device, at - *physical_device, expected);
		*physical_device = at + 1;
		return good;
	}
	node = store_read(vbd->nodename, "diskseq");
	good = !node || scan_diskseq(node, strlen(node), expected);
	free(node);
	return good;
}

/* Reads physical-device, which may have been written. */
void backend_changed(struct vbd *vbd)
{
	char *value = store_read(vbd->nodename, "physical-device");
	const char *text = value;
	unsigned major = 0, minor = 0;
	uint64_t expected;
	char *mode;
	int found;
	bool good;

	if (!value || options.no_open)
		goto out;
	good = read_expected(vbd, &text, &expected);
	found = scan_physical_device(text, &major, &minor);
	if (vbd->major | vbd->minor && vbd->major == major && vbd->minor == minor)
		goto out;
	log_begin("physical-device", vbd->key);
	log_string("value", value);
	log_string("outcome", vbd->major | vbd->minor ? "ignored: open already"
		   : good && found == 0 ? "ignored: not there yet" : "taken");
	log_end();
	if (vbd->major | vbd->minor || (good && found == 0))
		goto out;
	if (!good) {
		fatal(vbd, EINVAL, "reading diskseq");
		goto out;
	}
	if (found != 2) {
		fatal(vbd, -found, "reading physical-device");
		goto out;
	}
	mode = store_read(vbd->nodename, "mode");
	if (!mode) {
		fatal(vbd, ENOENT, "reading mode");
		goto out;
	}
	snprintf(vbd->mode, sizeof(vbd->mode), "%s", mode);
	vbd->writable = strchr(mode, 'w');
	free(mode);
	vbd->major = major;
	vbd->minor = minor;
	vbd->expected = expected;
	vbd->opening = true;
	/* Now that the number has been read, the device will be opened even if the node changes until then. */
	vbd->held = is_held(HELD_OPEN, vbd->key);
	if (vbd->held)
		goto out;
	if (!options.delay_ms)
		open_now(vbd);
	else
		timer_add(&vbd->timer, options.random_delay ? options.delay_ms * drand48() : options.delay_ms,
			  open_now, vbd);
out:
	free(value);
}

/* Connects if the device is open and the frontend has its ring ready. From then on, a guest could do I/O. */
void connect_frontend(struct vbd *vbd)
{
	char sectors[24], sector_size[12];
	int frontend = read_state(vbd->frontend);

	if (!vbd->device || vbd->state != INIT_WAIT || (frontend != INITIALISED && frontend != CONNECTED))
		return;
	snprintf(sectors, sizeof(sectors), "%llu", (unsigned long long)vbd->identity.size / 512);
	snprintf(sector_size, sizeof(sector_size), "%d", vbd->identity.sector_size);
	if (store_write(vbd, (struct node[]){ { "feature-flush-cache", "1" },
					      { "sectors", sectors },
					      { "info", vbd->writable ? "0" : "4" },
					      { "sector-size", sector_size } }, 4))
		switch_state(vbd, CONNECTED);
}

static void close_device(void *data)
{
	struct closing *closing = data;
	struct closing **at;

	for (at = &closings; *at != closing; at = &(*at)->next)
		;
	*at = closing->next;
	device_close(closing->device);
	log_begin("closed", closing->key);
	log_string("dev", closing->dev);
	log_string("diskseq", closing->diskseq);
	log_end();
	free(closing);
}

/* Arranges the later close of the device, if one is open, of a vbd that is about to go. */
void close_later(const struct vbd *vbd)
{
	struct closing *closing;

	if (!vbd->device)
		return;
	closing = calloc(1, sizeof(*closing));
	closing->device = vbd->device;
	strcpy(closing->key, vbd->key);
	strcpy(closing->diskseq, vbd->diskseq);
	snprintf(closing->dev, sizeof(closing->dev), "%x:%x", vbd->major, vbd->minor);
	closing->next = closings;
	closings = closing;
	closing->held = is_held(HELD_CLOSE, vbd->key);
	if (!closing->held)
		timer_add(&closing->timer, options.close_delay_ms, close_device, closing);
}

void release_closes(const char *pattern)
{
	for (struct closing *closing = closings, *next; closing; closing = next) {
		next = closing->next;
		if (closing->held && is_for(pattern, closing->key))
			close_device(closing);
	}
}

/* Closes all remaining devices at once, because no timer will fire any more. */
void close_all(void)
{
	while (closings)
		close_device(closings);
}
