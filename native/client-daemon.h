/* The request to the daemon. docs/control-socket.md has the protocol. */
#pragma once

enum outcome { DONE, FAILED, NOBODY };

/*
 * Hands the action for the vbd at `path` to the daemon and waits for the result. Returns FAILED after one line
 * on stderr, and NOBODY if the one-shot program has to do the work. `started` is the start of this program,
 * and `*deadline` the deadline of the work; both are milliseconds on the monotonic clock. A daemon that accepts
 * the request may set another deadline.
 */
enum outcome ask_daemon(const char *action, const char *path, long started, long *deadline);
