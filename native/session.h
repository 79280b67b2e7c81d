#pragma once

#include <uv.h>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "endpoint.h"
#include "request.h"

/**
 * One xs_handle with the thread that makes its requests, one after another. Requests do not go to
 * libuv's pool: a xenstored that hangs would take all of its threads. Shared by that thread and the
 * event loop's side (Lifeline); whoever lets go last frees it, so that a thread which is stuck in a
 * call that cannot be interrupted may be left alone.
 */
class Session : public std::enable_shared_from_this<Session> {
 public:
  /** What has happened since the loop last asked. */
  struct News {
    bool opened = false;
    int open_error = 0;
    std::vector<Reply> replies;
    bool finished = false;
  };

  enum class Ending { joinable, abandoned };

  /** `wake` is sent whenever there is news. */
  explicit Session(uv_async_t *wake) : wake_(wake) {}

  /** Starts the thread, which opens the handle. Returns 0 or an errno. */
  int start();
  void submit(Request request);
  /** Takes a request back that the thread has not begun; false if it is too late for that. */
  bool cancel(uint32_t id);
  News take_news();
  /** The next watch event; false when there is none for now. Between open and close only. */
  bool next_event(std::string &path, std::string &token);
  int watch_fd() const { return watch_fd_; }
  int lost_fd() const { return endpoint_.lost_fd(); }

  /**
   * Drops what is queued and lets the thread end: soon, then it is to be joined once `finished` is
   * in the news; or at some time, on its own, because nothing can hurry it. Call once.
   */
  Ending close();
  void join();

 private:
  static void *thread_main(void *self);
  void run();
  int open();
  void serve();
  Reply answer(const Request &request);
  void notify();

  enum class Phase { opening, idle, busy, finished };

  std::mutex mutex_;
  std::condition_variable wanted_;
  // Below: guarded by mutex_.
  std::deque<Request> queue_;
  News news_;
  Phase phase_ = Phase::opening;
  bool closing_ = false;
  uv_async_t *wake_;

  // Set by the thread before it reports `opened`, constant from then on.
  xs_handle *handle_ = nullptr;
  int watch_fd_ = -1;
  Endpoint endpoint_;

  pthread_t thread_{};
  // The thread's own.
  bool reader_started_ = false;
  bool lost_ = false;
};
