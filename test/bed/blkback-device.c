/* Opens devices by number, and makes the part of sysfs that the driver makes. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "blkback.h"

static void identify(int fd, struct identity *identity)
{
	memset(identity, 0, sizeof(*identity));
	/* Kernels before 5.15 have no diskseq. Then the field stays 0, which no disk has. */
	ioctl(fd, BLKGETDISKSEQ, &identity->diskseq);
	ioctl(fd, BLKGETSIZE64, &identity->size);
	ioctl(fd, BLKROGET, &identity->read_only);
	ioctl(fd, BLKSSZGET, &identity->sector_size);
	identity->length = pread(fd, identity->bytes, sizeof(identity->bytes), 0);
	/* Zeros at the end say nothing and clutter the log, so they are cut off. */
	while (identity->length > 0 && identity->bytes[identity->length - 1] == 0)
		identity->length--;
	if (identity->length < 0)
		identity->length = 0;
}

/*
 * Opens the device that has this number at this moment, not exclusively, as the driver does. Keeps the device open
 * by a mapping instead of a descriptor, because the driver is no process, and /proc does not show that the driver
 * has a device open. Returns NULL and sets errno on failure.
 */
void *device_open(unsigned major, unsigned minor, bool writable, struct identity *identity)
{
	static unsigned long serial;
	char path[4096];
	void *device;
	int fd, error;

	if (options.fail_open) {
		errno = options.fail_open;
		return NULL;
	}
	snprintf(path, sizeof(path), "%s/%d-%lu", options.dev_dir, getpid(), serial++);
	if (mknod(path, S_IFBLK | 0600, makedev(major, minor)) < 0)
		die("mknod %s: %m", path);
	fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	error = errno;
	unlink(path);
	errno = error;
	if (fd < 0)
		return NULL;
	identify(fd, identity);
	/* The mapping is private: the kernel refuses a shared one of a read-only device that is open for writing. */
	device = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0);
	if (device == MAP_FAILED)
		die("mmap %x:%x: %m", major, minor);
	close(fd);
	return device;
}

/* Closes the device. When this returns, the kernel has closed it and has cleared an autoclear loop device. */
void device_close(void *device)
{
	munmap(device, 1);
}

static void make(const char *path)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		die("mkdir %s: %m", path);
}

static const char *below(char (*path)[4096], const char *format, const char *name, const char *file)
{
	int length = snprintf(*path, sizeof(*path), "%s/", options.sysfs);

	snprintf(*path + length, sizeof(*path) - length, format, name, file);
	return *path;
}

/* As in the kernel, the bus directory holds links to the devices. */
#define LINK "bus/xen-backend/devices/%s"
/* The link of a vbd that the driver has taken up. */
#define BINDING "bus/xen-backend/drivers/vbd/%s"
#define DEVICE "devices/%s"
#define FILE_OF_DEVICE "devices/%s/%s"

/* Removes, in the kernel's order, the link on the bus, the driver's attributes, and the device. */
void sysfs_remove(const struct vbd *vbd)
{
	static unsigned long serial;
	char path[4096], gone[4096], name[64];

	/*
	 * sysfs gives each entry a new inode number, but this file system reuses the number of a deleted entry.
	 * So the links are not deleted, but moved out of the way.
	 */
	snprintf(name, sizeof(name), "%d-%lu", getpid(), serial++);
	below(&gone, "staging/gone-%s%s", name, "");
	rename(below(&path, LINK "%s", vbd->name, ""), gone);
	below(&gone, "staging/unbound-%s%s", name, "");
	rename(below(&path, BINDING "%s", vbd->name, ""), gone);
	unlink(below(&path, FILE_OF_DEVICE, vbd->name, "physical_device"));
	unlink(below(&path, FILE_OF_DEVICE, vbd->name, "mode"));
	unlink(below(&path, FILE_OF_DEVICE, vbd->name, "driver"));
	if (rmdir(below(&path, DEVICE "%s", vbd->name, "")) < 0 && errno != ENOENT)
		die("rmdir %s: %m", path);
}

/* Removes the entries of a killed predecessor, because a kernel that has just started has no vbd. */
static void sysfs_clear(void)
{
	char path[4096];
	struct dirent *entry;
	DIR *directory = opendir(below(&path, "bus/xen-backend/devices%s%s", "", ""));

	if (!directory)
		die("%s: %m", path);
	while ((entry = readdir(directory))) {
		struct vbd vbd = { 0 };

		if (entry->d_name[0] == '.')
			continue;
		snprintf(vbd.name, sizeof(vbd.name), "%.*s", (int)sizeof(vbd.name) - 1, entry->d_name);
		sysfs_remove(&vbd);
	}
	closedir(directory);
}

void sysfs_prepare(void)
{
	static const char *const directories[] = {
		"", "devices", "bus", "bus/xen-backend", "bus/xen-backend/devices",
		"bus/xen-backend/drivers", "bus/xen-backend/drivers/vbd", "staging",
	};
	char path[4096];

	for (size_t i = 0; i < sizeof(directories) / sizeof(*directories); i++)
		make(below(&path, "%s%s", directories[i], ""));
	sysfs_clear();
}

void sysfs_add(const struct vbd *vbd)
{
	char path[4096], target[128];

	/* A killed predecessor may have left an entry. */
	sysfs_remove(vbd);
	make(below(&path, DEVICE "%s", vbd->name, ""));
	if (symlink("../../bus/xen-backend/drivers/vbd", below(&path, FILE_OF_DEVICE, vbd->name, "driver")) < 0)
		die("symlink %s: %m", path);
	snprintf(target, sizeof(target), "../../../devices/%s", vbd->name);
	if (symlink(target, below(&path, LINK "%s", vbd->name, "")) < 0)
		die("symlink %s: %m", path);
	snprintf(target, sizeof(target), "../../../../devices/%s", vbd->name);
	if (symlink(target, below(&path, BINDING "%s", vbd->name, "")) < 0)
		die("symlink %s: %m", path);
}

/* Adds an attribute. The rename makes it appear at once with its whole value. */
static void add_attribute(const struct vbd *vbd, const char *name, const char *value)
{
	char staged[4096], path[4096];
	int fd = open(below(&staged, "staging/%s-%s", vbd->name, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		die("%s: %m", staged);
	close(fd);
	if (rename(staged, below(&path, FILE_OF_DEVICE, vbd->name, name)) < 0)
		die("%s: %m", path);
}

void sysfs_add_attributes(const struct vbd *vbd)
{
	char value[32];

	snprintf(value, sizeof(value), "%x:%x\n", vbd->major, vbd->minor);
	add_attribute(vbd, "physical_device", value);
	snprintf(value, sizeof(value), "%s\n", vbd->mode);
	add_attribute(vbd, "mode", value);
}
