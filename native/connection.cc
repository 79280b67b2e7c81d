#include "connection.h"

#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

namespace {

std::string to_bytes(const Napi::Value &value) {
  if (!value.IsTypedArray()) return value.ToString().Utf8Value();
  auto array = value.As<Napi::Uint8Array>();
  if (array.ByteLength() == 0) return {};
  return std::string(reinterpret_cast<const char *>(array.Data()), array.ByteLength());
}

std::vector<std::string> to_strings(const Napi::Array &array) {
  std::vector<std::string> strings;
  for (uint32_t i = 0; i < array.Length(); i++) strings.push_back(to_bytes(array[i]));
  return strings;
}

uint32_t to_number(const Napi::Value &value) { return value.ToNumber().Uint32Value(); }

/** domid and bits, alternating. */
std::vector<xs_permissions> to_permissions(const Napi::Array &array) {
  std::vector<xs_permissions> list;
  for (uint32_t i = 0; i + 1 < array.Length(); i += 2)
    list.push_back({to_number(array[i]), to_number(array[i + 1])});
  return list;
}

/** Kind, path and value (or undefined), alternating. */
std::vector<Step> to_steps(const Napi::Array &array) {
  std::vector<Step> steps;
  for (uint32_t i = 0; i + 2 < array.Length(); i += 3) {
    Napi::Value value = array[i + 2];
    Step step{static_cast<Step::Kind>(to_number(array[i])), to_bytes(array[i + 1]), std::nullopt};
    if (!value.IsUndefined()) step.value = to_bytes(value);
    steps.push_back(std::move(step));
  }
  return steps;
}

/** False if the argument is not of the operation's type. */
bool to_argument(Op op, const Napi::Value &value, Argument &argument) {
  switch (op) {
    case Op::write:
    case Op::watch:
    case Op::unwatch:
      if (!value.IsString() && !value.IsTypedArray()) return false;
      argument = to_bytes(value);
      return true;
    case Op::end:
      if (!value.IsBoolean()) return false;
      argument = value.As<Napi::Boolean>().Value();
      return true;
    case Op::read_many:
      if (!value.IsArray()) return false;
      argument = to_strings(value.As<Napi::Array>());
      return true;
    case Op::set_permissions:
      if (!value.IsArray()) return false;
      argument = to_permissions(value.As<Napi::Array>());
      return true;
    case Op::transact:
      if (!value.IsArray()) return false;
      argument = to_steps(value.As<Napi::Array>());
      return true;
    default:
      return true;
  }
}

/** The JavaScript value of a Result. */
struct ToValue {
  Napi::Env env;

  Napi::Value operator()(std::monostate) const { return env.Undefined(); }
  Napi::Value operator()(int error) const { return Napi::Number::New(env, error); }
  Napi::Value operator()(uint32_t number) const { return Napi::Number::New(env, number); }
  Napi::Value operator()(const std::string &bytes) const {
    return Napi::Buffer<char>::Copy(env, bytes.data(), bytes.size());
  }
  Napi::Value operator()(const std::vector<std::string> &names) const {
    auto array = Napi::Array::New(env, names.size());
    for (size_t i = 0; i < names.size(); i++)
      array.Set(static_cast<uint32_t>(i), Napi::String::New(env, names[i]));
    return array;
  }
  Napi::Value operator()(const std::vector<ReadResult> &values) const {
    auto array = Napi::Array::New(env, values.size());
    for (size_t i = 0; i < values.size(); i++)
      array.Set(static_cast<uint32_t>(i), std::visit(*this, values[i]));
    return array;
  }
  Napi::Value operator()(const std::vector<xs_permissions> &list) const {
    auto array = Napi::Array::New(env, list.size() * 2);
    uint32_t next = 0;
    for (const auto &entry : list) {
      array.Set(next++, Napi::Number::New(env, entry.id));
      array.Set(next++, Napi::Number::New(env, entry.perms));
    }
    return array;
  }
  Napi::Value operator()(const TransactResult &result) const {
    auto array = Napi::Array::New(env, 2);
    array.Set(0u, Napi::Number::New(env, result.first));
    array.Set(1u, result.second ? (*this)(*result.second) : env.Undefined());
    return array;
  }
};

Napi::Array to_array(Napi::Env env, const std::vector<Reply> &replies) {
  auto array = Napi::Array::New(env, replies.size() * 3);
  uint32_t next = 0;
  for (const auto &reply : replies) {
    array.Set(next++, Napi::Number::New(env, reply.id));
    array.Set(next++, Napi::Number::New(env, reply.error));
    array.Set(next++, std::visit(ToValue{env}, reply.result));
  }
  return array;
}

void throw_errno(Napi::Env env, int error) {
  auto failure = Napi::Error::New(env, strerror(error));
  failure.Set("errno", Napi::Number::New(env, error));
  failure.ThrowAsJavaScriptException();
}

}  // namespace

Napi::Function Connection::define(Napi::Env env) {
  return DefineClass(env, "Connection",
                     {
                         InstanceMethod<&Connection::submit>("submit"),
                         InstanceMethod<&Connection::cancel>("cancel"),
                         InstanceMethod<&Connection::close>("close"),
                     });
}

Connection::Connection(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Connection>(info) {
  if (!info[0].IsFunction()) {
    Napi::TypeError::New(info.Env(), "a function is needed").ThrowAsJavaScriptException();
    return;
  }
  int error = 0;
  lifeline_ = Lifeline::create(info.Env(), this, &error);
  if (!lifeline_) {
    throw_errno(info.Env(), error);
    return;
  }
  callback_ = Napi::Persistent(info[0].As<Napi::Function>());
  // Not to be collected while there is something to deliver.
  Ref();
}

Connection::~Connection() {
  if (lifeline_) lifeline_->forget();
}

void Connection::submit(const Napi::CallbackInfo &info) {
  Request request{to_number(info[0]), static_cast<Op>(to_number(info[1])), to_number(info[2]),
                  to_bytes(info[3]), {}};
  if (!to_argument(request.op, info[4], request.argument)) {
    Napi::TypeError::New(info.Env(), "the argument does not fit the operation")
        .ThrowAsJavaScriptException();
    return;
  }
  if (lifeline_) lifeline_->session().submit(std::move(request));
}

Napi::Value Connection::cancel(const Napi::CallbackInfo &info) {
  bool cancelled = lifeline_ && lifeline_->session().cancel(to_number(info[0]));
  return Napi::Boolean::New(info.Env(), cancelled);
}

void Connection::close(const Napi::CallbackInfo &) {
  if (lifeline_) lifeline_->close();
}

void Connection::deliver(Lifeline::Delivery delivery) {
  Napi::Env env = Env();
  Napi::HandleScope scope(env);
  auto opened = delivery.news.opened ? Napi::Number::New(env, delivery.news.open_error)
                                     : env.Undefined();
  auto replies = to_array(env, delivery.news.replies);
  auto events = ToValue{env}(delivery.events);
  auto callback = callback_.Value();
  auto receiver = Value();
  if (delivery.closed) {
    lifeline_ = nullptr;
    callback_.Reset();
    Unref();
  }
  callback.MakeCallback(receiver, {opened, replies, events, Napi::Boolean::New(env, delivery.lost),
                                   Napi::Boolean::New(env, delivery.closed)});
  if (!env.IsExceptionPending()) return;
  napi_fatal_exception(env, env.GetAndClearPendingException().Value());
}

void Connection::abandoned() { lifeline_ = nullptr; }
