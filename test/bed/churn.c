/*
 * The bystander of the race tests. It unbinds a loop device and binds it again to another file, as fast as it can,
 * using only ioctls that any root process may use.
 *
 * churn WRONG RIGHT   touches only devices that are bound to one of these two files, and binds them to
 *                     WRONG. It reads commands from stdin, one a line:
 *   start DEVICE    begins with this device
 *   stop            ends, and answers "stopped ROUNDS TAKEN", the numbers of attempts and of successes
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

/* Returns whether the device still belongs to this test. A number that became free may belong to another test. */
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

/* Carries out one command. Returns 0 at the end of the input. */
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
	/* poll finds the commands, so no command may wait in a buffer. */
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
