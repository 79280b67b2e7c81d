#pragma once

#include <napi.h>

#include "lifeline.h"

/**
 * The JavaScript class `Connection`: arguments in, errno and bytes out.
 *
 *     new Connection((opened, replies, events, lost, closed) => …)
 *
 * connects at once, on a thread of its own. The function is called with whatever has happened:
 * - opened: 0 or the errno of connecting, once; otherwise undefined
 * - replies: id, errno and value, alternating; value as of `submit`
 * - events: path and token of each watch event, alternating
 * - lost: the connection is gone
 * - closed: everything is freed; the last call
 *
 * An open connection keeps the process alive until close().
 */
class Connection : public Napi::ObjectWrap<Connection>, private Lifeline::Listener {
 public:
  static Napi::Function define(Napi::Env env);
  explicit Connection(const Napi::CallbackInfo &info);
  ~Connection() override;

 private:
  /** submit(id, operation, transaction, path, argument): see request.h for the arguments. */
  void submit(const Napi::CallbackInfo &info);
  /** cancel(id): whether the request had not begun and now never will. */
  Napi::Value cancel(const Napi::CallbackInfo &info);
  void close(const Napi::CallbackInfo &info);

  void deliver(Lifeline::Delivery delivery) override;
  void abandoned() override;

  Lifeline *lifeline_ = nullptr;
  Napi::FunctionReference callback_;
};
