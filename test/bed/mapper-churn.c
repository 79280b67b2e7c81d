/*
 * The bystander of the mapper's torture test. It removes mapper devices and makes them anew under the same names and
 * the same few minor numbers, as fast as it can. The device with a certain name always has the same content, but the
 * device with a certain number changes all the time.
 *
 * mapper-churn FIRST-MINOR SECTORS NAME=MAJOR:MINOR...
 *
 * NAME is a mapper device over the whole device MAJOR:MINOR. Its UUID is UUID-NAME. There is one minor fewer than
 * there are names. The program makes the node /dev/mapper/NAME after the device, as udev would, and does not remove
 * it, so that the node is stale most of the time. After SIGTERM, the program removes its devices that are not open,
 * prints "made N removed N busy N", and ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MOST 16

static struct device {
	char name[32];
	char table[64];
	/* -1 if there is no such device now. */
	int slot;
} devices[MOST];
static int count, slots, taken[MOST];
static int control;
static unsigned mapper_major, first_minor;
static unsigned long long sectors;
static long made, removed, busy;
static volatile sig_atomic_t ending;

static void end(int signal)
{
	(void)signal;
	ending = 1;
}

static struct dm_ioctl *request(void *buffer, size_t size, const char *name)
{
	struct dm_ioctl *dm = memset(buffer, 0, size);

	dm->version[0] = DM_VERSION_MAJOR;
	dm->data_size = size;
	dm->data_start = sizeof(*dm);
	strcpy(dm->name, name);
	return dm;
}

static int take_away(struct device *device)
{
	struct dm_ioctl buffer;

	request(&buffer, sizeof(buffer), device->name);
	if (ioctl(control, DM_DEV_REMOVE, &buffer)) {
		busy += errno == EBUSY;
		return -1;
	}
	removed++;
	taken[device->slot] = 0;
	device->slot = -1;
	return 0;
}

static void refresh_node(const struct device *device)
{
	char path[64], fresh[80];

	snprintf(path, sizeof(path), "/dev/mapper/%.31s", device->name);
	snprintf(fresh, sizeof(fresh), "%.63s.new", path);
	unlink(fresh);
	if (mknod(fresh, S_IFBLK | 0600, makedev(mapper_major, first_minor + device->slot)) ||
	    rename(fresh, path))
		perror(path);
}

static void make(struct device *device, int slot)
{
	struct {
		struct dm_ioctl dm;
		struct dm_target_spec spec;
		char table[64];
	} load;
	struct dm_ioctl buffer, *dm = request(&buffer, sizeof(buffer), device->name);

	snprintf(dm->uuid, sizeof(dm->uuid), "UUID-%s", device->name);
	dm->flags = DM_PERSISTENT_DEV_FLAG;
	dm->dev = makedev(mapper_major, first_minor + slot);
	/* A number becomes free only a moment after its last holder has gone. */
	if (ioctl(control, DM_DEV_CREATE, dm))
		return;
	device->slot = slot;
	taken[slot] = 1;
	request(&load, sizeof(load), device->name);
	load.dm.target_count = 1;
	load.spec.length = sectors;
	strcpy(load.spec.target_type, "linear");
	strcpy(load.table, device->table);
	if (ioctl(control, DM_TABLE_LOAD, &load))
		perror("DM_TABLE_LOAD");
	request(&buffer, sizeof(buffer), device->name);
	if (ioctl(control, DM_DEV_SUSPEND, &buffer))
		perror("DM_DEV_SUSPEND");
	refresh_node(device);
	made++;
}

static void exchange_one(void)
{
	struct device *device = &devices[random() % count];
	int slot = random() % slots;

	if (device->slot >= 0 && take_away(device))
		return;
	if (!taken[slot])
		make(device, slot);
}

/* Removes all devices. Waits a little for devices that others still have open. */
static void clean_up(void)
{
	char path[64];

	for (int i = 0; i < count; i++) {
		for (int tries = 0; devices[i].slot >= 0 && take_away(&devices[i]) && tries < 200; tries++)
			usleep(10000);
		snprintf(path, sizeof(path), "/dev/mapper/%.31s", devices[i].name);
		unlink(path);
	}
}

static unsigned find_major(void)
{
	FILE *file = fopen("/proc/devices", "r");
	char line[128], name[64];
	unsigned number, found = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%u %63s", &number, name) == 2 && !strcmp(name, "device-mapper"))
			found = number;
	if (file)
		fclose(file);
	return found;
}

int main(int argc, char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGTERM, end);
	control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	mapper_major = find_major();
	if (argc < 6 || argc > 3 + MOST || control < 0 || !mapper_major) {
		fprintf(stderr, "usage: mapper-churn FIRST-MINOR SECTORS NAME=MAJOR:MINOR..., with device-mapper\n");
		return 2;
	}
	first_minor = atoi(argv[1]);
	sectors = atoll(argv[2]);
	for (; count < argc - 3; count++) {
		struct device *device = &devices[count];

		device->slot = -1;
		if (sscanf(argv[3 + count], "%31[^=]=%31[0-9:]", device->name, device->table) != 2)
			return 2;
		strcat(device->table, " 0");
	}
	slots = count - 1;
	while (!ending)
		exchange_one();
	clean_up();
	printf("made %ld removed %ld busy %ld\n", made, removed, busy);
	return 0;
}
