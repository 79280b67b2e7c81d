#pragma once

#include <sys/types.h>
#include <uv.h>

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

class Mailbox;

/** One system call, with memory of its own: whoever asked for it may be gone when it returns. */
struct BlockingCall {
  uint32_t id = 0;
  long number = 0;
  std::array<long, 6> words{};
  /** Arguments that are bytes; `words` has their addresses. */
  std::array<std::string, 6> bytes;
  bool opens_descriptor = false;
  std::shared_ptr<Mailbox> mailbox;
  long result = 0;
  int error = 0;

  BlockingCall() = default;
  BlockingCall(const BlockingCall &) = delete;
  BlockingCall &operator=(const BlockingCall &) = delete;
  /** Wipes the bytes: they may hold a key. */
  ~BlockingCall();

  void perform();
};

/** Where finished calls wait for the event loop of the environment that asked for them. */
class Mailbox {
 public:
  /** `wake` is used until close() and must not be closed before. */
  explicit Mailbox(uv_async_t *wake) : wake_(wake) {}
  /** Takes a finished call. After close() it is disposed of at once. */
  void put(std::unique_ptr<BlockingCall> call);
  std::vector<std::unique_ptr<BlockingCall>> take();
  void close();

 private:
  std::mutex mutex_;
  uv_async_t *wake_;
  std::vector<std::unique_ptr<BlockingCall>> finished_;
};

enum class Placement { running, queued, refused };

/**
 * Gives a call to a thread: an idle one, a new one, or, while several others are busy and have been so
 * for a moment only, to the one that is free next. `refused` where a new thread was needed and cannot be
 * had: `error` is the errno of pthread_create(3), and the call is left to the caller.
 */
Placement run_on_thread(std::unique_ptr<BlockingCall> &call, int &error);

/**
 * Starts threads for queued calls whose predecessors take their time. To be called every millisecond
 * while anything may be queued. Returns whether anything still is.
 */
bool relieve_queue();
