/* The table of vbds, and the dispatch of watch events. The path of an event tells its vbd, without a scan. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkback.h"

#define BUCKETS 4096
static struct vbd *vbds[BUCKETS];

struct vbd **slot(const char *key)
{
	unsigned hash = 2166136261u;
	struct vbd **at;

	for (const char *c = key; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	for (at = &vbds[hash % BUCKETS]; *at && strcmp((*at)->key, key) != 0; at = &(*at)->next)
		;
	return at;
}

static void vbd_event(const char *key, const char *leaf)
{
	struct vbd *vbd = *slot(key);

	if (!vbd)
		probe(key);
	else if (!*leaf)
		check_backend(vbd);
	else if (strcmp(leaf, "physical-device") == 0) {
		if (!must_wait(vbd, DEVICE))
			backend_changed(vbd);
	}
}

/* Checks whether the known vbds of a domain, or all known vbds for "", still exist. */
static void check_known(const char *domain)
{
	size_t length = strlen(domain);

	for (int i = 0; i < BUCKETS; i++)
		for (struct vbd *vbd = vbds[i], *next; vbd; vbd = next) {
			next = vbd->next;
			if (!length || (strncmp(vbd->key, domain, length) == 0 && vbd->key[length] == '/'))
				check_backend(vbd);
		}
}

static void probe_domain(const char *domain)
{
	char path[96], key[64];
	unsigned count;
	char **names;

	snprintf(path, sizeof(path), "backend/vbd/%.32s", domain);
	names = store_list(path, &count);
	for (unsigned i = 0; i < count; i++) {
		if (snprintf(key, sizeof(key), "%s/%s", domain, names[i]) < (int)sizeof(key) && !*slot(key))
			probe(key);
	}
	free(names);
}

static void scan_everything(void)
{
	unsigned count;
	char **domains;

	check_known("");
	domains = store_list("backend/vbd", &count);
	for (unsigned i = 0; i < count; i++)
		probe_domain(domains[i]);
	free(domains);
}

/* Handles a watch event at or below backend/vbd. Acts only on the object that its path names. */
void backend_event(const char *path)
{
	char domain[24] = "", device[33] = "", key[64];
	int end = 0;

	path += strlen("backend/vbd");
	sscanf(path, "/%23[^/]%n/%32[^/]%n", domain, &end, device, &end);
	if (path[end] && path[end] != '/')
		return; /* too long a name to be a domain or a device */
	if (!*domain)
		scan_everything();
	else if (!*device) {
		check_known(domain);
		probe_domain(domain);
	} else {
		snprintf(key, sizeof(key), "%s/%s", domain, device);
		vbd_event(key, path[end] == '/' ? path + end + 1 : "");
	}
}

void frontend_event(const char *key)
{
	struct vbd *vbd = *slot(key);

	if (vbd)
		frontend_changed(vbd);
}

/* Opens the devices that are held. A device that a timer will open is not held. */
void release_opens(const char *pattern)
{
	for (int i = 0; i < BUCKETS; i++)
		for (struct vbd *vbd = vbds[i], *next; vbd; vbd = next) {
			next = vbd->next;
			if (vbd->held && is_for(pattern, vbd->key))
				open_now(vbd);
		}
}

void release_events(const char *pattern)
{
	for (int i = 0; i < BUCKETS; i++)
		for (struct vbd *vbd = vbds[i], *next; vbd; vbd = next) {
			next = vbd->next;
			if (is_for(pattern, vbd->key))
				catch_up(vbd);
		}
}

/* Removes all vbds before the process ends, in the order of an orderly removal, without touching the store. */
void close_everything(void)
{
	for (int i = 0; i < BUCKETS; i++)
		while (vbds[i]) {
			struct vbd *vbd = vbds[i];

			vbds[i] = vbd->next;
			sysfs_remove(vbd);
			close_later(vbd);
			free(vbd->frontend);
			free(vbd);
		}
	close_all();
}
