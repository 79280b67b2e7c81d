/*
 * The bystander of the race tests: tears a loop device down and sets it up again over another file,
 * as fast as it can, with nothing but the ioctls that any root process may use.
 *
 * churn WRONG RIGHT   touches only devices that stand on one of these two files, and leaves them on
 *                     WRONG; commands on stdin, one a line:
 *   start DEVICE    begins with that device
 *   stop            ends; answers "stopped ROUNDS TAKEN": how often it tried, how often it got through
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static char device[256];
static long rounds, taken;
static struct stat files[2];

/* A number that has become free may be another test's by now. */
static int is_ours(int fd)
{
	struct loop_info64 info;

	if (ioctl(fd, LOOP_GET_STATUS64, &info))
		return 0;
	for (int i = 0; i < 2; i++)
		if (info.lo_inode == files[i].st_ino && info.lo_device == files[i].st_dev)
			return 1;
	return 0;
}

static void take_over(int file)
{
	struct loop_config config = { .fd = file, .block_size = 512 };
	int fd = open(device, O_RDWR | O_CLOEXEC);

	rounds++;
	if (fd >= 0) {
		if (is_ours(fd))
			ioctl(fd, LOOP_CLR_FD);
		/* Linux 6.11 and later clear only at the close. */
		close(fd);
	}
	fd = open(device, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
		taken++;
	close(fd);
}

/* One command; 0 at the end of input. */
static int obey(void)
{
	char line[300];

	if (!fgets(line, sizeof(line), stdin))
		return 0;
	line[strcspn(line, "\n")] = 0;
	if (sscanf(line, "start %255s", device) == 1) {
		rounds = taken = 0;
	} else if (!strcmp(line, "stop")) {
		device[0] = 0;
		printf("stopped %ld %ld\n", rounds, taken);
		fflush(stdout);
	}
	return 1;
}

int main(int argc, char **argv)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };
	int file;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Commands are looked for with poll, so none may wait in a buffer. */
	setvbuf(stdin, NULL, _IONBF, 0);
	file = argc == 3 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
	if (file < 0 || fstat(file, &files[0]) || stat(argv[2], &files[1])) {
		fprintf(stderr, "usage: churn WRONG RIGHT\n");
		return 2;
	}
	for (;;) {
		if (poll(&input, 1, device[0] ? 0 : -1) > 0 && !obey())
			return 0;
		if (device[0])
			take_over(file);
	}
}
