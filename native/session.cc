#include "session.h"

#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

int Session::start() {
  auto self = std::make_unique<std::shared_ptr<Session>>(shared_from_this());
  int error = pthread_create(&thread_, nullptr, thread_main, self.get());
  if (error == 0) self.release();
  return error;
}

void *Session::thread_main(void *argument) {
  auto *self = static_cast<std::shared_ptr<Session> *>(argument);
  pthread_setname_np(pthread_self(), "xenstore");
  (*self)->run();
  delete self;
  return nullptr;
}

void Session::run() {
  int error = open();
  {
    std::lock_guard lock(mutex_);
    news_.opened = true;
    news_.open_error = error;
    phase_ = Phase::idle;
    notify();
  }
  serve();
  if (handle_) {
    if (reader_started_ && endpoint_.is_lost()) endpoint_.await_reader();
    xs_close(handle_);
  }
  std::lock_guard lock(mutex_);
  phase_ = Phase::finished;
  news_.finished = true;
  notify();
}

int Session::open() {
  handle_ = endpoint_.open();
  if (!handle_) return errno;
  watch_fd_ = xs_fileno(handle_);
  if (watch_fd_ >= 0) return 0;
  int error = errno;
  xs_close(handle_);
  handle_ = nullptr;
  return error;
}

void Session::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wanted_.wait(lock, [this] { return closing_ || !queue_.empty(); });
    if (closing_) return;
    Request request = std::move(queue_.front());
    queue_.pop_front();
    phase_ = Phase::busy;
    lock.unlock();
    Reply reply = answer(request);
    lock.lock();
    phase_ = Phase::idle;
    news_.replies.push_back(std::move(reply));
    notify();
  }
}

Reply Session::answer(const Request &request) {
  // A dead handle is not tried again: libxenstore would close its descriptor a second time.
  lost_ = lost_ || !handle_ || endpoint_.is_lost();
  if (lost_) return {request.id, ECONNRESET, {}};
  if (request.op == Op::watch) reader_started_ = true;
  Reply reply = execute(handle_, request);
  // EBADF is libxenstore's word for a handle it has given up; xenstored has no such error.
  if (reply.error != 0 && (reply.error == EBADF || endpoint_.is_lost())) {
    lost_ = true;
    reply.error = ECONNRESET;
    endpoint_.hang_up();
  }
  return reply;
}

void Session::submit(Request request) {
  {
    std::lock_guard lock(mutex_);
    if (closing_) return;
    queue_.push_back(std::move(request));
  }
  wanted_.notify_one();
}

bool Session::cancel(uint32_t id) {
  std::lock_guard lock(mutex_);
  auto found =
      std::find_if(queue_.begin(), queue_.end(), [id](const auto &item) { return item.id == id; });
  if (found == queue_.end()) return false;
  queue_.erase(found);
  return true;
}

Session::News Session::take_news() {
  std::lock_guard lock(mutex_);
  return std::exchange(news_, News{});
}

bool Session::next_event(std::string &path, std::string &token) {
  std::unique_ptr<char *, decltype(&free)> event(xs_check_watch(handle_), &free);
  if (!event) return false;
  path = event.get()[XS_WATCH_PATH];
  token = event.get()[XS_WATCH_TOKEN];
  return true;
}

Session::Ending Session::close() {
  std::lock_guard lock(mutex_);
  closing_ = true;
  queue_.clear();
  bool stuck = false;
  switch (phase_) {
    case Phase::opening:
      endpoint_.cancel_open();
      stuck = true;
      break;
    case Phase::busy:
      endpoint_.interrupt();
      stuck = !endpoint_.interruptible();
      break;
    case Phase::idle:
    case Phase::finished:
      break;
  }
  if (stuck) {
    wake_ = nullptr;
    pthread_detach(thread_);
    return Ending::abandoned;
  }
  wanted_.notify_one();
  return Ending::joinable;
}

void Session::join() { pthread_join(thread_, nullptr); }

void Session::notify() {
  // Under the mutex: after close() has cleared wake_, the handle behind it may be gone.
  if (wake_) uv_async_send(wake_);
}
