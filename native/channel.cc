#include "channel.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace {

int connect_socket(const std::string &path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return -ENAMETOOLONG;
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  if (connect(fd, reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0) return fd;
  int error = errno;
  ::close(fd);
  return -error;
}

int open_device(const std::string &path) {
  int fd = ::open(path.c_str(), O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

}  // namespace

/** The part of a channel that libuv knows. */
struct Channel::Poll {
  uv_poll_t handle{};
  Channel *owner = nullptr;
  napi_async_cleanup_hook_handle hook = nullptr;

  static Poll *of(void *handle) {
    return static_cast<Poll *>(static_cast<uv_handle_t *>(handle)->data);
  }
  static void ready(uv_poll_t *handle, int status, int events) {
    if (Channel *owner = of(handle)->owner) owner->ready(status, events);
  }
  /** Called when the environment ends. The environment waits until the handle is closed. */
  static void environment_ends(napi_async_cleanup_hook_handle, void *self) {
    if (Channel *owner = static_cast<Poll *>(self)->owner) owner->release();
  }
  static void closed(uv_handle_t *handle) {
    Poll *self = of(handle);
    if (self->hook) napi_remove_async_cleanup_hook(self->hook);
    delete self;
  }
};

Napi::Function Channel::define(Napi::Env env) {
  return DefineClass(env, "Channel",
                     {
                         InstanceMethod<&Channel::open>("open"),
                         InstanceMethod<&Channel::start>("start"),
                         InstanceMethod<&Channel::write>("write"),
                         InstanceMethod<&Channel::await_writable>("awaitWritable"),
                         InstanceMethod<&Channel::close>("close"),
                     });
}

Channel::Channel(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Channel>(info) {
  if (!info[0].IsTypedArray() || !info[1].IsFunction() || !info[2].IsFunction()) {
    Napi::TypeError::New(info.Env(), "an array of bytes and two functions are needed")
        .ThrowAsJavaScriptException();
    return;
  }
  memory_ = Napi::Persistent(info[0].As<Napi::Uint8Array>());
  on_read_ = Napi::Persistent(info[1].As<Napi::Function>());
  on_writable_ = Napi::Persistent(info[2].As<Napi::Function>());
}

Channel::~Channel() { release(); }

Napi::Value Channel::open(const Napi::CallbackInfo &info) {
  std::string path = info[0].ToString().Utf8Value();
  struct stat found;
  if (fd_ >= 0) return Napi::Number::New(info.Env(), -EISCONN);
  if (stat(path.c_str(), &found) != 0) return Napi::Number::New(info.Env(), -errno);
  bool is_socket = S_ISSOCK(found.st_mode);
  int fd = is_socket ? connect_socket(path) : open_device(path);
  if (fd < 0) return Napi::Number::New(info.Env(), fd);
  fd_ = fd;
  return Napi::Number::New(info.Env(), is_socket ? 0 : 1);
}

Napi::Value Channel::start(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  uv_loop_t *loop = nullptr;
  if (fd_ < 0 || poll_) return Napi::Number::New(env, -EBADF);
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return Napi::Number::New(env, -ENOTSUP);
  auto *poll = new Poll;
  if (int error = uv_poll_init(loop, &poll->handle, fd_); error != 0) {
    delete poll;
    return Napi::Number::New(env, error);
  }
  poll->handle.data = poll;
  poll->owner = this;
  poll_ = poll;
  // The object must not be collected while something may be read.
  Ref();
  int error = napi_add_async_cleanup_hook(env, Poll::environment_ends, poll, &poll->hook) == napi_ok
                  ? uv_poll_start(&poll->handle, UV_READABLE, Poll::ready)
                  : -ENOTSUP;
  return Napi::Number::New(env, error);
}

Napi::Value Channel::write(const Napi::CallbackInfo &info) {
  if (!info[0].IsTypedArray()) {
    Napi::TypeError::New(info.Env(), "an array of bytes is needed").ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  auto bytes = info[0].As<Napi::Uint8Array>();
  ssize_t taken;
  // Node ignores SIGPIPE, so a write to a peer that is gone returns an errno.
  do taken = ::write(fd_, bytes.Data(), bytes.ByteLength());
  while (taken < 0 && errno == EINTR);
  if (taken < 0) taken = errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
  return Napi::Number::New(info.Env(), static_cast<double>(taken));
}

void Channel::await_writable(const Napi::CallbackInfo &) {
  if (poll_) uv_poll_start(&poll_->handle, UV_READABLE | UV_WRITABLE, Poll::ready);
}

void Channel::close(const Napi::CallbackInfo &) {
  bool started = poll_ != nullptr;
  release();
  memory_.Reset();
  on_read_.Reset();
  on_writable_.Reset();
  if (started) Unref();
}

void Channel::ready(int status, int events) {
  Napi::HandleScope scope(Env());
  if (events & UV_WRITABLE) {
    uv_poll_start(&poll_->handle, UV_READABLE, Poll::ready);
    call(on_writable_, {});
  }
  // The function above may have closed the channel. After an error, the read below returns the errno.
  if (fd_ < 0 || !(status < 0 || (events & UV_READABLE))) return;
  auto memory = memory_.Value();
  ssize_t count;
  do count = read(fd_, memory.Data(), memory.ByteLength());
  while (count < 0 && errno == EINTR);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
  if (count < 0) count = -errno;
  // Neither the end of the stream nor an error goes away, so the poll would call for ever.
  if (count <= 0) uv_poll_stop(&poll_->handle);
  call(on_read_, {Napi::Number::New(Env(), static_cast<double>(count))});
}

void Channel::call(const Napi::FunctionReference &function,
                   std::initializer_list<napi_value> arguments) {
  Napi::Env env = Env();
  function.MakeCallback(Value(), arguments);
  if (env.IsExceptionPending())
    napi_fatal_exception(env, env.GetAndClearPendingException().Value());
}

void Channel::release() {
  if (Poll *poll = std::exchange(poll_, nullptr)) {
    poll->owner = nullptr;
    // This takes the descriptor out of the loop's epoll set, so that it may be closed at once.
    uv_close(reinterpret_cast<uv_handle_t *>(&poll->handle), Poll::closed);
  }
  if (int fd = std::exchange(fd_, -1); fd >= 0) ::close(fd);
}
