#pragma once

#include <sys/types.h>

#include <atomic>

#include "libxenstore.h"

/**
 * The connection below an xs_handle, which libxenstore keeps to itself: a Unix socket to xenstored,
 * or /dev/xen/xenbus. A second descriptor of the socket tells when xenstored is gone (libxenstore
 * wakes nobody at end of file) and can end a call that would wait for ever. The device has neither
 * need nor means: it lives as long as the kernel, and a call on it cannot be interrupted.
 */
class Endpoint {
 public:
  Endpoint() = default;
  ~Endpoint();
  Endpoint(const Endpoint &) = delete;
  Endpoint &operator=(const Endpoint &) = delete;

  /** xs_open(0). Returns null with errno set; ECANCELED after cancel_open(). Blocks. */
  xs_handle *open();
  /** Ends a wait for other threads' open(); one's own connect(2) cannot be ended. */
  void cancel_open();

  /** Readable once the connection is lost; -1 where that cannot be known. */
  int lost_fd() const { return lost_epoll_; }
  bool is_lost() const;

  bool interruptible() const { return socket_ >= 0; }
  /** Makes a call under way in another thread, and every later one, fail soon. */
  void interrupt();
  /** Tells xenstored that we are gone; for a connection that libxenstore has given up. */
  void hang_up();

  /**
   * xs_close cancels libxenstore's reader thread. One that has just met the end of the socket is
   * about to close its descriptor, and would leak it if cancelled in that instant; so wait for it.
   */
  void await_reader() const;

 private:
  bool adopt(int fd);
  bool reader_has_closed() const;

  std::atomic<bool> cancelled_{false};
  /** Our own duplicate of the socket. */
  int socket_ = -1;
  int lost_epoll_ = -1;
  /** libxenstore's descriptor: only ever compared with ours, never used. */
  int theirs_ = -1;
  ino_t inode_ = 0;
};
