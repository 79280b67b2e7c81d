/* Command line and event loop of the stand-in for xen-blkback; see blkback.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "blkback.h"

struct options options = { .close_delay_ms = 5 };

static struct timer *timers;

static double monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

void timer_add(struct timer *timer, double ms, void (*fire)(void *), void *data)
{
	struct timer **at;

	timer->when = monotonic_ms() + ms;
	timer->fire = fire;
	timer->data = data;
	for (at = &timers; *at && (*at)->when <= timer->when; at = &(*at)->next)
		;
	timer->next = *at;
	*at = timer;
}

static void run_timers(void)
{
	while (timers && timers->when <= monotonic_ms()) {
		struct timer *timer = timers;

		timers = timer->next;
		timer->fire(timer->data);
	}
}

/* Returns how long poll() may sleep, rounded up, so that poll() does not wake just before a timer is due. */
static int until_timer(void)
{
	double ms;

	if (!timers)
		return -1;
	ms = timers->when - monotonic_ms();
	return ms > 0 ? (int)ms + 1 : 0;
}

static void usage(void)
{
	fputs("usage: blkback --sysfs DIR --dev-dir DIR --log FILE [--control FIFO] [--guise diskseq|stock]\n"
	      "  [--delay-ms N [--random-delay]] [--hold] [--close-delay-ms N] [--hold-close]\n"
	      "  [--no-probe] [--no-open] [--fail-open ERRNO]\n", stderr);
	exit(2);
}

static int number(const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end || value < 0 || value > 1000000)
		usage();
	return value;
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "guise", required_argument, NULL, 'g' },
		{ "sysfs", required_argument, NULL, 's' },
		{ "dev-dir", required_argument, NULL, 'd' },
		{ "log", required_argument, NULL, 'l' },
		{ "control", required_argument, NULL, 'c' },
		{ "delay-ms", required_argument, NULL, 'D' },
		{ "random-delay", no_argument, NULL, 'r' },
		{ "hold", no_argument, NULL, 'h' },
		{ "close-delay-ms", required_argument, NULL, 'C' },
		{ "hold-close", no_argument, NULL, 'H' },
		{ "no-probe", no_argument, NULL, 'P' },
		{ "no-open", no_argument, NULL, 'O' },
		{ "fail-open", required_argument, NULL, 'F' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
		switch (option) {
		case 'g':
			options.diskseq = strcmp(optarg, "diskseq") == 0;
			if (!options.diskseq && strcmp(optarg, "stock") != 0)
				usage();
			break;
		case 's': options.sysfs = optarg; break;
		case 'd': options.dev_dir = optarg; break;
		case 'l': options.log = optarg; break;
		case 'c': options.control = optarg; break;
		case 'D': options.delay_ms = number(optarg); break;
		case 'r': options.random_delay = true; break;
		case 'h': hold(HELD_OPEN, "*"); break;
		case 'C': options.close_delay_ms = number(optarg); break;
		case 'H': hold(HELD_CLOSE, "*"); break;
		case 'P': options.no_probe = true; break;
		case 'O': options.no_open = true; break;
		case 'F': options.fail_open = number(optarg); break;
		default: usage();
		}
	if (optind != argc || !options.sysfs || !options.dev_dir || !options.log)
		usage();
}

/* Handles one event, if there is any. The first one of backend/vbd comes without a change, and scans all vbds. */
static bool run_event(void)
{
	static bool ready;
	char *token, *path = store_event(&token);

	if (!path)
		return false;
	if (strcmp(token, "backend") == 0)
		backend_event(path);
	else
		frontend_event(token);
	if (!ready && strcmp(token, "backend") == 0) {
		ready = true;
		log_begin("ready", NULL);
		log_end();
		puts("ready");
		fflush(stdout);
	}
	free(path);
	free(token);
	return true;
}

static void run_signal(int fd)
{
	struct signalfd_siginfo signal;

	if (read(fd, &signal, sizeof(signal)) != sizeof(signal))
		die("signalfd: %m");
	switch (signal.ssi_signo) {
	case SIGUSR1:
		release_opens("*");
		break;
	case SIGUSR2:
		release_closes("*");
		break;
	default:
		close_everything();
		store_close();
		exit(0);
	}
}

int main(int argc, char **argv)
{
	pid_t parent = getppid();
	sigset_t signals;
	int signal_fd, control_fd = -1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		return 1;
	parse(argc, argv);
	srand48(getpid());
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	for (const int *s = (const int[]){ SIGTERM, SIGINT, SIGUSR1, SIGUSR2, 0 }; *s; s++)
		sigaddset(&signals, *s);
	/* This comes before libxenstore starts its reader thread, because the thread inherits the mask. */
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	log_open(options.log);
	if (options.control)
		control_fd = control_open(options.control);
	sysfs_prepare();
	store_open();
	store_watch("backend/vbd", "backend");
	for (;;) {
		struct pollfd fds[] = { { .fd = store_fd(), .events = POLLIN },
					{ .fd = signal_fd, .events = POLLIN },
					{ .fd = control_fd, .events = POLLIN } };

		/* All events are read, because libxenstore's pipe may not announce those it has already fetched. */
		while (run_event())
			run_timers();
		run_timers();
		if (poll(fds, 3, until_timer()) < 0 && errno != EINTR)
			die("poll: %m");
		if (fds[1].revents)
			run_signal(signal_fd);
		if (fds[2].revents)
			control_read(control_fd);
		if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
			die("lost xenstored");
	}
}
