/*
 * A file system whose server can be stopped. SIGSTOP makes it hang like an outage of NFS or iSCSI, SIGCONT lets it
 * go on, and SIGKILL makes all waiting calls fail. It speaks the kernel's protocol itself (linux/fuse.h), and keeps
 * its files in memory only.
 *
 * fuse-files DIRECTORY NAME=BYTES...    mounts at DIRECTORY one directory with these regular files
 *
 * It prints "ready" when it is mounted. SIGTERM unmounts it lazily.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define LARGEST_WRITE (128 * 1024)
#define MOST_FILES 512

struct file {
	const char *name;
	char *bytes;
	size_t size;
};

static struct file files[MOST_FILES];
static size_t file_count;
static const char *directory;
static int device;

/* Returns the file of an inode number. The root has FUSE_ROOT_ID, and the files have the following numbers. */
static struct file *file_of(uint64_t inode)
{
	return inode > FUSE_ROOT_ID && inode <= FUSE_ROOT_ID + file_count ?
		       &files[inode - FUSE_ROOT_ID - 1] : NULL;
}

static void reply(const struct fuse_in_header *in, int error, const void *data, size_t size)
{
	struct fuse_out_header out = { .len = sizeof(out) + size, .error = -error, .unique = in->unique };
	struct iovec parts[] = { { &out, sizeof(out) }, { (void *)data, size } };

	/* ENOENT means that the process that asked has been interrupted. */
	if (writev(device, parts, size ? 2 : 1) < 0 && errno != ENOENT) {
		perror("fuse-files: reply");
		exit(1);
	}
}

static struct fuse_attr attributes(uint64_t inode)
{
	struct file *file = file_of(inode);
	struct fuse_attr attr = {
		.ino = inode,
		.mode = file ? S_IFREG | 0600 : S_IFDIR | 0700,
		.nlink = file ? 1 : 2,
		.size = file ? file->size : 0,
		.blocks = file ? (file->size + 511) / 512 : 0,
		.blksize = 4096,
	};

	return attr;
}

static void look_up(const struct fuse_in_header *in, const char *name)
{
	for (size_t i = 0; i < file_count; i++) {
		struct fuse_entry_out entry = { .nodeid = FUSE_ROOT_ID + 1 + i };

		if (strcmp(files[i].name, name))
			continue;
		/* The entry is valid for no time, so the next lookup asks again, and hangs if the server is stopped. */
		entry.attr = attributes(entry.nodeid);
		reply(in, 0, &entry, sizeof(entry));
		return;
	}
	reply(in, ENOENT, NULL, 0);
}

static void read_directory(const struct fuse_in_header *in, const struct fuse_read_in *arg)
{
	char buffer[65536];
	size_t used = 0;

	for (size_t i = arg->offset; i < file_count; i++) {
		struct fuse_dirent *entry = (struct fuse_dirent *)(buffer + used);
		size_t length = strlen(files[i].name);
		size_t size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + length);

		if (used + size > arg->size || used + size > sizeof(buffer))
			break;
		memset(entry, 0, size);
		*entry = (struct fuse_dirent){ .ino = FUSE_ROOT_ID + 1 + i, .off = i + 1,
					       .namelen = length, .type = DT_REG };
		memcpy(entry->name, files[i].name, length);
		used += size;
	}
	reply(in, 0, buffer, used);
}

static void read_file(const struct fuse_in_header *in, const struct fuse_read_in *arg)
{
	struct file *file = file_of(in->nodeid);
	size_t left;

	if (!file)
		return reply(in, EISDIR, NULL, 0);
	left = arg->offset < file->size ? file->size - arg->offset : 0;
	reply(in, 0, file->bytes + arg->offset, arg->size < left ? arg->size : left);
}

static void write_file(const struct fuse_in_header *in, const struct fuse_write_in *arg)
{
	struct file *file = file_of(in->nodeid);
	struct fuse_write_out out = { .size = arg->size };

	if (!file || arg->offset + arg->size > file->size)
		return reply(in, ENOSPC, NULL, 0);
	memcpy(file->bytes + arg->offset, arg + 1, arg->size);
	reply(in, 0, &out, sizeof(out));
}

static void serve(const struct fuse_in_header *in, const void *arg)
{
	struct fuse_attr_out attr = { .attr = attributes(in->nodeid) };
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION, .minor = 31,
				      .max_readahead = LARGEST_WRITE, .max_write = LARGEST_WRITE };
	struct fuse_statfs_out statfs = { .st = { .bsize = 4096, .frsize = 4096, .namelen = 255 } };
	struct fuse_open_out open = { 0 };

	switch (in->opcode) {
	case FUSE_INIT:
		return reply(in, 0, &init, sizeof(init));
	case FUSE_LOOKUP:
		return look_up(in, arg);
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		return reply(in, 0, &attr, sizeof(attr));
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		return reply(in, 0, &open, sizeof(open));
	case FUSE_READ:
		return read_file(in, arg);
	case FUSE_WRITE:
		return write_file(in, arg);
	case FUSE_READDIR:
		return read_directory(in, arg);
	case FUSE_STATFS:
		return reply(in, 0, &statfs, sizeof(statfs));
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FLUSH:
	case FUSE_FSYNC:
		return reply(in, 0, NULL, 0);
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return;
	case FUSE_DESTROY:
		reply(in, 0, NULL, 0);
		exit(0);
	default:
		return reply(in, ENOSYS, NULL, 0);
	}
}

static void leave(int signal)
{
	(void)signal;
	umount2(directory, MNT_DETACH);
	_exit(0);
}

static void mount_it(void)
{
	char options[128];

	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
	if (device >= 0 &&
	    !mount("fuse-files", directory, "fuse.files", MS_NOSUID | MS_NODEV, options))
		return;
	perror("fuse-files: mount");
	exit(1);
}

int main(int argc, char **argv)
{
	static char buffer[LARGEST_WRITE + 4096];

	if (argc < 2 || argc - 2 > MOST_FILES)
		return 2;
	directory = argv[1];
	for (int i = 2; i < argc; i++) {
		struct file *file = &files[file_count++];

		file->name = strsep(&argv[i], "=");
		file->size = argv[i] ? strtoul(argv[i], NULL, 10) : 0;
		/* The file consists of zeroes, which take no memory until they are written. */
		file->bytes = calloc(1, file->size + 1);
		if (!file->bytes)
			return 2;
	}
	signal(SIGTERM, leave);
	mount_it();
	puts("ready");
	fflush(stdout);
	for (;;) {
		ssize_t got = read(device, buffer, sizeof(buffer));

		if (got >= (ssize_t)sizeof(struct fuse_in_header))
			serve((void *)buffer, buffer + sizeof(struct fuse_in_header));
		/* ENODEV means that the file system has been unmounted. */
		else if (errno != EINTR && errno != EAGAIN && errno != ENOENT)
			return errno == ENODEV ? 0 : 1;
	}
}
