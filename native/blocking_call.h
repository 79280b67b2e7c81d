#pragma once

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
