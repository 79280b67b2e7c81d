/*
 * A stand-in for the kernel's xen-blkback, for machines without Xen. It shares no code with the project, and is as
 * blind as the driver: it opens any device that has the given number.
 */
#ifndef BLKBACK_H
#define BLKBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The values of XenbusState that the backend uses. */
enum { UNKNOWN, INITIALISING, INIT_WAIT, INITIALISED, CONNECTED, CLOSING, CLOSED };

struct options {
	bool diskseq;		/* behave as a kernel with the diskseq series, not as a stock one */
	const char *sysfs;	/* stands for /sys */
	const char *dev_dir;	/* the directory for short-lived device nodes */
	const char *log;
	const char *control;	/* the FIFO from which blkback-control.c reads commands */
	unsigned delay_ms;	/* the time between reading physical-device and opening */
	bool random_delay;	/* make this time random, uniformly in 0..delay_ms */
	unsigned close_delay_ms; /* the time between the end of the sysfs entry and the close */
	bool no_probe;		/* as if the driver's module were not loaded */
	bool no_open;		/* never react to physical-device */
	int fail_open;		/* the errno with which every open fails, or 0 */
};
extern struct options options;

struct timer {
	double when;
	void (*fire)(void *data);
	void *data;
	struct timer *next;
};

/* The things that may have changed while the events of a vbd had to wait. They are checked afterwards. */
enum { BACKEND = 1, FRONTEND = 2, DEVICE = 4 };

/* The properties of a device when it is opened. */
struct identity {
	uint64_t diskseq, size;
	int read_only, sector_size;
	char bytes[64];
	ssize_t length;
};

/* One instance of a backend. If a path is removed and made anew, it belongs to another instance. */
struct vbd {
	struct vbd *next;
	char key[64];		/* "7/51712" */
	char nodename[96];	/* "backend/vbd/7/51712" */
	char name[64];		/* "vbd-7-51712" */
	char *frontend;
	int state;		/* the state that the driver has last written */
	unsigned major, minor;	/* not 0:0 while opening or open */
	bool writable;
	char mode[16];
	uint64_t expected;	/* the expected diskseq, 0 if it is not checked */
	void *device;		/* the mapping that keeps the device open, NULL if it is not open */
	struct identity identity; /* the properties of the open device */
	char diskseq[24];	/* the diskseq of the open device, as logged */
	bool opening;		/* between reading physical-device and the open */
	bool held;		/* opened by a release, not by a timer */
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
	HELD_EVENTS,	/* events of xenbus for an existing vbd, as if its only thread were stuck */
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
