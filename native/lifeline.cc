#include "lifeline.h"

#include <cerrno>

namespace {

template <typename Handle>
Lifeline *owner(Handle *handle) {
  return static_cast<Lifeline *>(handle->data);
}

}  // namespace

Lifeline *Lifeline::create(napi_env env, Listener *listener, int *error) {
  auto *self = new Lifeline(listener);
  *error = self->open(env);
  if (*error == 0) return self;
  self->listener_ = nullptr;
  self->closing_ = true;
  self->session_.reset();
  if (self->handles_ > 0)
    self->release(reinterpret_cast<uv_handle_t *>(&self->async_));
  else
    delete self;
  return nullptr;
}

int Lifeline::open(napi_env env) {
  if (napi_get_uv_event_loop(env, &loop_) != napi_ok) return ENOTSUP;
  if (int error = uv_async_init(loop_, &async_, on_wake); error != 0) return -error;
  async_.data = this;
  handles_++;
  if (napi_add_async_cleanup_hook(env, on_environment_end, this, &hook_) != napi_ok) return ENOTSUP;
  session_ = std::make_shared<Session>(&async_);
  return session_->start();
}

void Lifeline::close() {
  if (closing_) return;
  closing_ = true;
  // Before the thread may close the descriptors behind them.
  if (watch_.data) release(reinterpret_cast<uv_handle_t *>(&watch_));
  if (lost_.data) release(reinterpret_cast<uv_handle_t *>(&lost_));
  if (session_->close() == Session::Ending::joinable) return;
  session_.reset();
  release(reinterpret_cast<uv_handle_t *>(&async_));
}

void Lifeline::forget() {
  listener_ = nullptr;
  close();
}

void Lifeline::on_environment_end(napi_async_cleanup_hook_handle, void *data) {
  auto *self = static_cast<Lifeline *>(data);
  if (self->listener_) self->listener_->abandoned();
  self->forget();
}

void Lifeline::on_wake(uv_async_t *handle) { owner(handle)->wake(); }

void Lifeline::wake() {
  if (!closing_) return pump(false, false);
  if (!session_ || !session_->take_news().finished) return;
  session_->join();
  session_.reset();
  release(reinterpret_cast<uv_handle_t *>(&async_));
}

void Lifeline::on_watch(uv_poll_t *handle, int, int) { owner(handle)->pump(true, false); }

void Lifeline::on_lost(uv_poll_t *handle, int, int) {
  uv_poll_stop(handle);
  owner(handle)->pump(true, true);
}

/** Replies first, then events, then the loss: the order in which they mean something. */
void Lifeline::pump(bool events, bool lost) {
  Delivery delivery{session_->take_news(), {}, lost, false};
  if (delivery.news.opened && delivery.news.open_error == 0)
    delivery.news.open_error = start_polls();
  std::string path;
  std::string token;
  // Until there is none: libxenstore may report the pipe as readable only once for several events.
  while (events && session_->next_event(path, token)) {
    delivery.events.push_back(std::move(path));
    delivery.events.push_back(std::move(token));
  }
  deliver(std::move(delivery));
}

int Lifeline::start_polls() {
  if (int error = poll(&watch_, session_->watch_fd(), UV_READABLE, on_watch); error != 0)
    return error;
  if (session_->lost_fd() < 0) return 0;
  return poll(&lost_, session_->lost_fd(), UV_READABLE, on_lost);
}

int Lifeline::poll(uv_poll_t *handle, int fd, int events, uv_poll_cb callback) {
  if (int error = uv_poll_init(loop_, handle, fd); error != 0) return -error;
  handle->data = this;
  handles_++;
  return -uv_poll_start(handle, events, callback);
}

void Lifeline::deliver(Delivery delivery) {
  if (listener_) listener_->deliver(std::move(delivery));
}

void Lifeline::release(uv_handle_t *handle) {
  uv_close(handle, [](uv_handle_t *closed) { owner(closed)->released(); });
}

void Lifeline::released() {
  if (--handles_ > 0) return;
  auto *listener = std::exchange(listener_, nullptr);
  if (listener) {
    Delivery last;
    last.closed = true;
    listener->deliver(std::move(last));
  }
  if (hook_) napi_remove_async_cleanup_hook(hook_);
  delete this;
}
