/*
 * A stand-in for the kernel's xen-blkback, for machines without Xen. It shares no code with the
 * project and is as blind as the driver: it opens whatever device has the number it is given.
 */
#ifndef BLKBACK_H
#define BLKBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* XenbusState, as far as the backend takes part in it. */
enum { UNKNOWN, INITIALISING, INIT_WAIT, INITIALISED, CONNECTED, CLOSING, CLOSED };

struct options {
	bool diskseq;		/* play the kernel with the diskseq series, not a stock one */
	const char *sysfs;	/* stands for /sys */
	const char *dev_dir;	/* where the short-lived device nodes are made */
	const char *log;
	const char *control;	/* a FIFO that commands are read from; blkback-control.c */
	unsigned delay_ms;	/* between reading physical-device and opening */
	bool random_delay;	/* uniformly 0..delay_ms instead */
	unsigned close_delay_ms; /* between the sysfs entry's end and the close */
	bool no_probe;		/* as if the driver's module were not loaded */
	bool no_open;		/* never reacts to physical-device */
	int fail_open;		/* an errno: every open fails with it */
};
extern struct options options;

struct timer {
	double when;
	void (*fire)(void *data);
	void *data;
	struct timer *next;
};

/* What may have changed while a vbd's events had to wait: looked at afterwards, as the driver would. */
enum { BACKEND = 1, FRONTEND = 2, DEVICE = 4 };

/* What is found in a device when it is opened. */
struct identity {
	uint64_t diskseq, size;
	int read_only, sector_size;
	char bytes[64];
	ssize_t length;
};

/* One instance of a backend; the same path made anew after its removal is another instance. */
struct vbd {
	struct vbd *next;
	char key[64];		/* "7/51712" */
	char nodename[96];	/* "backend/vbd/7/51712" */
	char name[64];		/* "vbd-7-51712" */
	char *frontend;
	int state;		/* what the driver last wrote */
	unsigned major, minor;	/* not 0:0 while opening or open */
	bool writable;
	char mode[16];
	uint64_t expected;	/* diskseq, 0: not checked */
	void *device;		/* what keeps it open; NULL: not open */
	struct identity identity; /* of the open device */
	char diskseq[24];	/* of the open device, as logged */
	bool opening;		/* between reading physical-device and the open */
	bool held;		/* no timer will open it, but a release */
	unsigned recheck;	/* BACKEND, FRONTEND, DEVICE */
	struct timer timer;
};

struct node {
	const char *name, *value;
};

/* blkback.c */
void timer_add(struct timer *timer, double ms, void (*fire)(void *), void *data);

/* blkback-control.c */
enum held {
	HELD_OPEN,	/* between reading physical-device and the open */
	HELD_CLOSE,	/* between the end of the sysfs entry and the close */
	HELD_EVENTS,	/* what xenbus tells of a vbd that there is, as while its one thread is stuck */
};
bool is_for(const char *pattern, const char *key);
bool is_held(enum held what, const char *key);
void hold(enum held what, const char *key);
int control_open(const char *path);
void control_read(int fd);

/* blkback-log.c */
void log_open(const char *path);
void log_begin(const char *event, const char *vbd);
void log_text(const char *key, const char *value, size_t length);
void log_string(const char *key, const char *value);
void log_number(const char *key, long long value);
void log_end(void);
double now_ms(void);
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* blkback-store.c */
void store_open(void);
void store_close(void);
int store_fd(void);
char *store_event(char **token);
char *store_read(const char *directory, const char *name);
char **store_list(const char *path, unsigned *count);
void store_watch(const char *path, const char *token);
void store_unwatch(const char *path, const char *token);
bool store_write(const struct vbd *vbd, const struct node *nodes, size_t count);
void store_error(const struct vbd *vbd, int error, const char *text);
int scan_physical_device(const char *text, unsigned *major, unsigned *minor);
bool scan_diskseq(const char *text, size_t length, uint64_t *diskseq);

/* blkback-device.c */
void *device_open(unsigned major, unsigned minor, bool writable, struct identity *identity);
void device_close(void *device);
void sysfs_prepare(void);
void sysfs_add(const struct vbd *vbd);
void sysfs_add_attributes(const struct vbd *vbd);
void sysfs_remove(const struct vbd *vbd);

/* blkback-vbd.c */
int read_state(const char *directory);
bool switch_state(struct vbd *vbd, int state);
void fatal(struct vbd *vbd, int error, const char *text);
void probe(const char *key);
void check_backend(struct vbd *vbd);
void frontend_changed(struct vbd *vbd);
bool must_wait(struct vbd *vbd, unsigned change);
void catch_up(struct vbd *vbd);

/* blkback-open.c */
void backend_changed(struct vbd *vbd);
void open_now(void *vbd);
void connect_frontend(struct vbd *vbd);
void close_later(const struct vbd *vbd);
void release_closes(const char *pattern);
void close_all(void);

/* blkback-events.c */
struct vbd **slot(const char *key);
void backend_event(const char *path);
void frontend_event(const char *key);
void release_opens(const char *pattern);
void release_events(const char *pattern);
void close_everything(void);

#endif
