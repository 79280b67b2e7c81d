#pragma once

#include <node_api.h>
#include <uv.h>

#include <memory>
#include <string>
#include <vector>

#include "session.h"

/**
 * The event loop's side of a Session: turns what its thread reports, watch events and the loss of
 * the connection into calls on a listener, on the environment's own loop. It owns itself: close(),
 * or the end of the environment, starts the end, and it is freed when libuv has let its handles go.
 * Its handles keep the loop alive until then.
 */
class Lifeline {
 public:
  struct Delivery {
    Session::News news;
    /** Paths and tokens, alternating. */
    std::vector<std::string> events;
    bool lost = false;
    bool closed = false;
  };

  class Listener {
   public:
    virtual void deliver(Delivery delivery) = 0;
    /** The environment ends: there will be no delivery, and no Lifeline, any more. */
    virtual void abandoned() = 0;

   protected:
    ~Listener() = default;
  };

  /** Null on failure, with `error` set to an errno. */
  static Lifeline *create(napi_env env, Listener *listener, int *error);

  Session &session() { return *session_; }
  /** Idempotent. The last delivery has `closed` set; the session must not be used any more. */
  void close();
  /** As close(), but nothing is delivered any more. */
  void forget();

 private:
  explicit Lifeline(Listener *listener) : listener_(listener) {}
  int open(napi_env env);
  int start_polls();
  int poll(uv_poll_t *handle, int fd, int events, uv_poll_cb callback);
  void wake();
  void pump(bool events, bool lost);
  void deliver(Delivery delivery);
  void release(uv_handle_t *handle);
  void released();

  static void on_wake(uv_async_t *handle);
  static void on_watch(uv_poll_t *handle, int status, int events);
  static void on_lost(uv_poll_t *handle, int status, int events);
  static void on_environment_end(napi_async_cleanup_hook_handle hook, void *self);

  Listener *listener_;
  std::shared_ptr<Session> session_;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  uv_loop_t *loop_ = nullptr;
  uv_async_t async_{};
  uv_poll_t watch_{};
  uv_poll_t lost_{};
  /** uv handles that are not closed yet. */
  int handles_ = 0;
  bool closing_ = false;
};
