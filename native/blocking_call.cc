#include "blocking_call.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "loop_statuses.h"

BlockingCall::~BlockingCall() {
  for (auto &block : bytes)
    if (!block.empty()) explicit_bzero(block.data(), block.size());
}

void BlockingCall::perform() {
  if (number == LOOP_STATUSES) {
    read_loop_statuses(bytes[0].data(), bytes[0].size());
    result = error = 0;
    return;
  }
  result = syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]);
  error = result == -1 ? errno : 0;
}

void BlockingCall::dispose() {
  if (opens_descriptor && error == 0) ::close(static_cast<int>(result));
}

void Mailbox::put(std::unique_ptr<BlockingCall> call) {
  {
    std::lock_guard lock(mutex_);
    if (wake_) {
      finished_.push_back(std::move(call));
      uv_async_send(wake_);
      return;
    }
  }
  call->dispose();
}

std::vector<std::unique_ptr<BlockingCall>> Mailbox::take() {
  std::lock_guard lock(mutex_);
  return std::exchange(finished_, {});
}

void Mailbox::close() {
  std::lock_guard lock(mutex_);
  wake_ = nullptr;
}
