#pragma once

#include <napi.h>
#include <uv.h>

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "blocking_call.h"

/**
 * The calls of one environment. The object frees itself when the environment ends and waits for no thread,
 * because each call owns the memory that it needs.
 */
class BlockingCalls {
 public:
  /** `openBlockingCalls` of blocking.h. */
  static Napi::Value open(const Napi::CallbackInfo &info);

 private:
  /** The index of an argument, and the array in JavaScript that gets the bytes of the argument back. */
  using Output = std::pair<size_t, Napi::Reference<Napi::Uint8Array>>;
  struct Waiting {
    std::vector<Output> outputs;
    bool abandoned = false;
  };

  explicit BlockingCalls(const Napi::Function &done) : done_(Napi::Persistent(done)) {}
  int attach(napi_env env);
  Napi::Value start(const Napi::CallbackInfo &info);
  void abandon(const Napi::CallbackInfo &info);
  void deliver();
  void deliver(BlockingCall &call);
  void let_go_of(Waiting &waiting);

  static void on_wake(uv_async_t *handle);
  static void on_relief(uv_timer_t *handle);
  static void on_closed(uv_handle_t *handle);
  static void on_environment_end(napi_async_cleanup_hook_handle hook, void *self);

  Napi::FunctionReference done_;
  uv_async_t wake_{};
  uv_timer_t relief_{};
  /** Number of uv handles that are not closed yet. */
  int handles_ = 2;
  std::shared_ptr<Mailbox> mailbox_;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  std::unordered_map<uint32_t, Waiting> waiting_;
  /** Number of calls that were not abandoned. The event loop stays alive for them. */
  size_t awaited_ = 0;
  uint32_t last_id_ = 0;
};
