#pragma once

#include <napi.h>
#include <uv.h>

/**
 * The JavaScript class `Channel`: a stream of bytes over one descriptor. It never blocks, and the
 * environment's own event loop polls the descriptor.
 *
 *     new Channel(memory, onRead, onWritable)
 *
 * - open(path): connects to the socket at `path`, or opens the device at `path`. Returns 0 for a socket, 1
 *   for a device, and a negative errno on failure. -EAGAIN means that the queue of the socket is full.
 * - start(): begins to read. Returns 0 or a negative errno. From now on
 *   - onRead(n) reports that n bytes were read into `memory`; 0 is the end of the stream, and a negative
 *     number is an errno;
 *   - an open channel keeps the event loop alive.
 * - write(bytes): returns how many bytes were taken, or a negative errno.
 * - awaitWritable(): onWritable() is called once, as soon as bytes are taken again.
 * - close(): closes the descriptor at once. No function is called any more. Idempotent.
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
  /** Closes the descriptor and the poll handle. Calls no function of JavaScript. */
  void release();

  int fd_ = -1;
  /** libuv's close callback frees it, which may happen after this object is gone. */
  Poll *poll_ = nullptr;
  Napi::Reference<Napi::Uint8Array> memory_;
  Napi::FunctionReference on_read_;
  Napi::FunctionReference on_writable_;
};
