#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "libxenstore.h"

/** What can be asked of xenstored. The numbers are those of its wire protocol, where it has one. */
enum class Op : uint32_t {
  directory = XS_DIRECTORY,
  read = XS_READ,
  get_permissions = XS_GET_PERMS,
  watch = XS_WATCH,
  unwatch = XS_UNWATCH,
  start = XS_TRANSACTION_START,
  end = XS_TRANSACTION_END,
  write = XS_WRITE,
  mkdir = XS_MKDIR,
  remove = XS_RM,
  set_permissions = XS_SET_PERMS,
  // Several wire requests in one trip to the request thread.
  read_many = 0x10000,
  transact,
};

/** One step of a whole transaction. */
struct Step {
  enum class Kind : uint32_t { expect, exists, write, remove };
  Kind kind;
  std::string path;
  std::optional<std::string> value;
};

using Argument = std::variant<std::monostate, std::string, std::vector<std::string>,
                              std::vector<xs_permissions>, std::vector<Step>, bool>;

struct Request {
  uint32_t id;
  Op op;
  xs_transaction_t tx;
  std::string path;
  /**
   * write: the value; watch, unwatch: the token; read_many: the paths; set_permissions: the list;
   * transact: the steps; end: whether to abort.
   */
  Argument argument;
};

/** A value, or the errno of the failed read. */
using ReadResult = std::variant<int, std::string>;

/** The step that failed or did not hold (-1: none of them) and what was found there. */
using TransactResult = std::pair<int, std::optional<std::string>>;

using Result = std::variant<std::monostate, std::string, std::vector<std::string>,
                            std::vector<ReadResult>, std::vector<xs_permissions>, uint32_t,
                            TransactResult>;

struct Reply {
  uint32_t id;
  /** 0, or the errno libxenstore left. */
  int error;
  Result result;
};

/** Carries one request out; blocks until xenstored has answered. */
Reply execute(xs_handle *handle, const Request &request);
