/*
 * A library to preload into Debian's C xenstored, so that it runs on a machine without a hypervisor. It replaces the
 * library calls by which xenstored reaches the hypervisor. The store, transactions, watches, permissions and
 * quotas remain those of xenstored.
 *
 * Only domain 0 uses a ring here. So an event channel that never fires and a page that nobody else maps are
 * enough. Clients connect to the Unix socket and act as domain 0.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#define PAGE 4096

/* The handles are opaque to xenstored. They only must not be NULL. */
static char handle;
static int event_fd = -1;

/*
 * xenstored must not outlive the test process, even if the test process is killed. The signal follows the death of
 * the *thread* that forked. In Node, this is the main thread unless a worker has started xenstored.
 */
__attribute__((constructor)) static void die_with_parent(void)
{
	pid_t parent = getppid();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
}

xc_interface *xc_interface_open(xentoollog_logger *, xentoollog_logger *, unsigned)
{
	return (xc_interface *)&handle;
}

int xc_interface_close(xc_interface *)
{
	return 0;
}

/* Says of every domain that it exists and is well. */
int xc_domain_getinfo(xc_interface *, uint32_t domid, unsigned int max, xc_dominfo_t *info)
{
	if (max == 0)
		return 0;
	memset(info, 0, sizeof(*info));
	info->domid = domid;
	return 1;
}

xenevtchn_handle *xenevtchn_open(xentoollog_logger *, unsigned int)
{
	event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return event_fd < 0 ? NULL : (xenevtchn_handle *)&handle;
}

xenevtchn_handle *xenevtchn_fdopen(xentoollog_logger *, int fd, unsigned)
{
	event_fd = fd;
	return (xenevtchn_handle *)&handle;
}

int xenevtchn_fd(xenevtchn_handle *)
{
	return event_fd;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *, uint32_t,
						     evtchn_port_t remote_port)
{
	return remote_port;
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *, unsigned int)
{
	return 2;
}

int xenevtchn_notify(xenevtchn_handle *, evtchn_port_t)
{
	return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *)
{
	errno = EAGAIN;
	return -1;
}

int xenevtchn_unbind(xenevtchn_handle *, evtchn_port_t)
{
	return 0;
}

int xenevtchn_unmask(xenevtchn_handle *, evtchn_port_t)
{
	return 0;
}

xengnttab_handle *xengnttab_open(xentoollog_logger *, unsigned)
{
	return (xengnttab_handle *)&handle;
}

int xengnttab_close(xengnttab_handle *)
{
	return 0;
}

int xengnttab_set_max_grants(xengnttab_handle *, uint32_t)
{
	return 0;
}

void *xengnttab_map_grant_ref(xengnttab_handle *, uint32_t, uint32_t, int prot)
{
	void *page = mmap(NULL, PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? NULL : page;
}

int xengnttab_unmap(xengnttab_handle *, void *address, uint32_t count)
{
	return munmap(address, (size_t)count * PAGE);
}

/* Opens a replacement for a file of xenfs: the port of domain 0's event channel, or its ring. */
static int xenfs_file(const char *path)
{
	int fd = memfd_create(path, MFD_CLOEXEC);

	if (fd < 0)
		return -1;
	if (strcmp(path, "/proc/xen/xsd_kva") == 0 ? ftruncate(fd, PAGE) < 0 : pwrite(fd, "1", 1, 0) != 1) {
		close(fd);
		return -1;
	}
	return fd;
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;

	if (strcmp(path, "/proc/xen/xsd_port") == 0 || strcmp(path, "/proc/xen/xsd_kva") == 0)
		return xenfs_file(path);
	if (flags & (O_CREAT | __O_TMPFILE)) {
		va_list arguments;

		va_start(arguments, flags);
		mode = va_arg(arguments, mode_t);
		va_end(arguments);
	}
	return openat(AT_FDCWD, path, flags, mode);
}
