#pragma once

#include <sys/types.h>
#include <uv.h>

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "arguments.h"

class Mailbox;

/**
 * One system call with memory of its own, because the environment that asked for it may be gone when it
 * returns.
 */
struct BlockingCall {
  uint32_t id = 0;
  long number = 0;
  Words words{};
  /** The arguments that are bytes. `words` has their addresses. */
  std::array<std::string, 6> bytes;
  bool opens_descriptor = false;
  std::shared_ptr<Mailbox> mailbox;
  long result = 0;
  int error = 0;

  BlockingCall() = default;
  BlockingCall(const BlockingCall &) = delete;
  BlockingCall &operator=(const BlockingCall &) = delete;
  /** Wipes the bytes, because they may hold a key. */
  ~BlockingCall();

  /** Makes the call on this thread, and sets `result` and `error` (0 or an errno). */
  void perform();
  /** Closes the descriptor that the call opened, because its environment will not hear of it. */
  void dispose();
};

/** The queue in which finished calls wait for the event loop of the environment that asked for them. */
class Mailbox {
 public:
  /** `wake` is used until close() and must not be closed before that. */
  explicit Mailbox(uv_async_t *wake) : wake_(wake) {}
  /**
   * Takes a finished call. After close() the call is disposed of at once: a descriptor that it opened is
   * closed.
   */
  void put(std::unique_ptr<BlockingCall> call);
  /** Returns the finished calls and removes them. */
  std::vector<std::unique_ptr<BlockingCall>> take();
  /** Ends the use of `wake`. */
  void close();

 private:
  std::mutex mutex_;
  uv_async_t *wake_;
  std::vector<std::unique_ptr<BlockingCall>> finished_;
};

/** The fate of a new call: an idle thread has it, it waits in the queue, or no thread can be had. */
enum class Placement { running, queued, refused };

/**
 * Gives a call to an idle thread or to a new thread. If several other calls are running, and have been
 * running for a moment only, the call waits for the thread that is free next. Returns `refused` if the call
 * needs a new thread and none can be had. `error` is the errno of pthread_create(3) then, and the caller
 * keeps the call.
 */
Placement run_on_thread(std::unique_ptr<BlockingCall> &call, int &error);

/**
 * Starts threads for queued calls if the calls before them take long. Must be called every millisecond while
 * a call may be queued. Returns whether a call may still be queued.
 */
bool relieve_queue();
