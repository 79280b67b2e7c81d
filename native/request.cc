#include "request.h"

#include <cerrno>
#include <cstdlib>
#include <memory>

namespace {

struct Free {
  void operator()(void *memory) const { free(memory); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

int status(bool ok) { return ok ? 0 : errno; }

ReadResult read_value(xs_handle *handle, xs_transaction_t tx, const std::string &path) {
  unsigned int length = 0;
  Owned<void> value(xs_read(handle, tx, path.c_str(), &length));
  if (!value) return errno;
  return std::string(static_cast<const char *>(value.get()), length);
}

bool write_value(xs_handle *handle, xs_transaction_t tx, const std::string &path,
                 const std::string &value) {
  return xs_write(handle, tx, path.c_str(), value.data(), static_cast<unsigned int>(value.size()));
}

int read_one(xs_handle *handle, const Request &request, Result &result) {
  auto value = read_value(handle, request.tx, request.path);
  if (auto *error = std::get_if<int>(&value)) return *error;
  result = std::move(std::get<std::string>(value));
  return 0;
}

int read_many(xs_handle *handle, const Request &request, Result &result) {
  std::vector<ReadResult> values;
  for (const auto &path : std::get<std::vector<std::string>>(request.argument)) {
    values.push_back(read_value(handle, request.tx, path));
    // The handle is dead: the paths left would all fail in the same way.
    if (auto *error = std::get_if<int>(&values.back()); error && *error == EBADF) return EBADF;
  }
  result = std::move(values);
  return 0;
}

int list(xs_handle *handle, const Request &request, Result &result) {
  unsigned int count = 0;
  Owned<char *> names(xs_directory(handle, request.tx, request.path.c_str(), &count));
  if (!names) return errno;
  result = std::vector<std::string>(names.get(), names.get() + count);
  return 0;
}

int get_permissions(xs_handle *handle, const Request &request, Result &result) {
  unsigned int count = 0;
  Owned<xs_permissions> list(
      xs_get_permissions(handle, request.tx, request.path.c_str(), &count));
  if (!list) return errno;
  result = std::vector<xs_permissions>(list.get(), list.get() + count);
  return 0;
}

int set_permissions(xs_handle *handle, const Request &request) {
  auto list = std::get<std::vector<xs_permissions>>(request.argument);
  return status(xs_set_permissions(handle, request.tx, request.path.c_str(), list.data(),
                                   static_cast<unsigned int>(list.size())));
}

int start(xs_handle *handle, Result &result) {
  auto tx = xs_transaction_start(handle);
  if (tx == XBT_NULL) return errno;
  result = static_cast<uint32_t>(tx);
  return 0;
}

struct StepOutcome {
  int error = 0;
  bool holds = true;
  std::optional<std::string> found = std::nullopt;
};

StepOutcome run_step(xs_handle *handle, xs_transaction_t tx, const Step &step) {
  switch (step.kind) {
    case Step::Kind::expect:
    case Step::Kind::exists: {
      auto value = read_value(handle, tx, step.path);
      std::optional<std::string> found;
      if (auto *error = std::get_if<int>(&value)) {
        if (*error != ENOENT) return {*error};
      } else {
        found = std::move(std::get<std::string>(value));
      }
      bool holds = step.kind == Step::Kind::exists ? found.has_value() : found == step.value;
      return {0, holds, std::move(found)};
    }
    case Step::Kind::write:
      return {status(write_value(handle, tx, step.path, step.value.value_or("")))};
    case Step::Kind::remove: {
      int error = status(xs_rm(handle, tx, step.path.c_str()));
      return {error == ENOENT ? 0 : error};
    }
  }
  return {EINVAL};
}

int transact(xs_handle *handle, const Request &request, Result &result) {
  auto tx = xs_transaction_start(handle);
  if (tx == XBT_NULL) {
    int error = errno;
    result = TransactResult{-1, std::nullopt};
    return error;
  }
  int index = 0;
  for (const auto &step : std::get<std::vector<Step>>(request.argument)) {
    auto outcome = run_step(handle, tx, step);
    if (outcome.error != 0 || !outcome.holds) {
      xs_transaction_end(handle, tx, true);
      result = TransactResult{index, std::move(outcome.found)};
      return outcome.error;
    }
    index++;
  }
  result = TransactResult{-1, std::nullopt};
  return status(xs_transaction_end(handle, tx, false));
}

int dispatch(xs_handle *handle, const Request &request, Result &result) {
  const char *path = request.path.c_str();
  switch (request.op) {
    case Op::directory:
      return list(handle, request, result);
    case Op::read:
      return read_one(handle, request, result);
    case Op::get_permissions:
      return get_permissions(handle, request, result);
    case Op::watch:
      return status(xs_watch(handle, path, std::get<std::string>(request.argument).c_str()));
    case Op::unwatch:
      return status(xs_unwatch(handle, path, std::get<std::string>(request.argument).c_str()));
    case Op::start:
      return start(handle, result);
    case Op::end:
      return status(xs_transaction_end(handle, request.tx, std::get<bool>(request.argument)));
    case Op::write:
      return status(
          write_value(handle, request.tx, request.path, std::get<std::string>(request.argument)));
    case Op::mkdir:
      return status(xs_mkdir(handle, request.tx, path));
    case Op::remove:
      return status(xs_rm(handle, request.tx, path));
    case Op::set_permissions:
      return set_permissions(handle, request);
    case Op::read_many:
      return read_many(handle, request, result);
    case Op::transact:
      return transact(handle, request, result);
  }
  return ENOSYS;
}

}  // namespace

Reply execute(xs_handle *handle, const Request &request) {
  Reply reply{request.id, 0, {}};
  reply.error = dispatch(handle, request, reply.result);
  return reply;
}
