#pragma once

#include <napi.h>
#include <uv.h>

/**
 * The JavaScript class `Channel`: a stream of bytes over one descriptor that never blocks, polled on
 * the environment's own event loop.
 *
 *     new Channel(memory, onRead, onWritable)
 *
 * - open(path): connects to the socket, or opens the device, at `path`. Returns 0 for a socket, 1 for
 *   a device, and a negative errno on failure: -EAGAIN means that the queue of the socket is full.
 * - start(): begins to read. Returns 0 or a negative errno. From now on
 *   - onRead(n) says that n bytes were read into `memory`; 0 is the end of the stream, and a negative
 *     number an errno;
 *   - an open channel keeps the event loop alive.
 * - write(bytes): returns how many bytes were taken, or a negative errno.
 * - awaitWritable(): onWritable() is called once, when bytes are taken again.
 * - close(): gives the descriptor back at once; no function is called any more. Idempotent.
 */
class Channel : public Napi::ObjectWrap<Channel> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit Channel(const Napi::CallbackInfo &info);
  ~Channel() override;

 private:
  struct Poll;

  Napi::Value open(const Napi::CallbackInfo &info);
  Napi::Value start(const Napi::CallbackInfo &info);
  Napi::Value write(const Napi::CallbackInfo &info);
  void await_writable(const Napi::CallbackInfo &info);
  void close(const Napi::CallbackInfo &info);

  void ready(int status, int events);
  void call(const Napi::FunctionReference &function, std::initializer_list<napi_value> arguments);
  /** Gives the descriptor and the poll handle back; calls nothing of JavaScript's. */
  void release();

  int fd_ = -1;
  /** Freed by libuv's close callback, which may run after this object is gone. */
  Poll *poll_ = nullptr;
  Napi::Reference<Napi::Uint8Array> memory_;
  Napi::FunctionReference on_read_;
  Napi::FunctionReference on_writable_;
};
