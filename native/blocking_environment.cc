#include "blocking_environment.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <string>

#include "blocking_threads.h"

namespace {

/** Tells whether an environment still runs JavaScript. It no longer does after process.exit() in a worker. */
bool runs_javascript(Napi::Env env) {
  // Node-API refuses every access to a property then.
  bool has;
  return napi_has_property(env, env.Global(), Napi::Number::New(env, 0), &has) == napi_ok;
}

}  // namespace

Napi::Value BlockingCalls::open(const Napi::CallbackInfo &info) {
  auto env = info.Env();
  auto *self = new BlockingCalls(info[0].As<Napi::Function>());
  if (int error = self->attach(env); error != 0) {
    delete self;
    Napi::Error::New(env, std::string("uv_async_init: ") + strerror(error))
        .ThrowAsJavaScriptException();
    return env.Undefined();
  }
  auto calls = Napi::Object::New(env);
  calls.Set("start", Napi::Function::New(env, [self](const Napi::CallbackInfo &call) {
              return self->start(call);
            }));
  calls.Set("abandon", Napi::Function::New(
                           env, [self](const Napi::CallbackInfo &call) { self->abandon(call); }));
  return calls;
}

int BlockingCalls::attach(napi_env env) {
  uv_loop_t *loop;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return ENOTSUP;
  if (int error = uv_async_init(loop, &wake_, on_wake); error != 0) return -error;
  uv_timer_init(loop, &relief_);
  wake_.data = relief_.data = this;
  // Only a call that was not abandoned keeps the process alive.
  uv_unref(reinterpret_cast<uv_handle_t *>(&wake_));
  uv_unref(reinterpret_cast<uv_handle_t *>(&relief_));
  mailbox_ = std::make_shared<Mailbox>(&wake_);
  // This fails for want of memory only. The object would never be freed then.
  if (napi_add_async_cleanup_hook(env, on_environment_end, this, &hook_) != napi_ok) abort();
  return 0;
}

void BlockingCalls::on_environment_end(napi_async_cleanup_hook_handle, void *data) {
  auto *self = static_cast<BlockingCalls *>(data);
  self->mailbox_->close();
  // These calls came back too late to be delivered. The mailbox is closed, so put() disposes of them.
  for (auto &call : self->mailbox_->take()) self->mailbox_->put(std::move(call));
  self->waiting_.clear();
  self->done_.Reset();
  uv_close(reinterpret_cast<uv_handle_t *>(&self->wake_), on_closed);
  uv_close(reinterpret_cast<uv_handle_t *>(&self->relief_), on_closed);
}

void BlockingCalls::on_closed(uv_handle_t *handle) {
  auto *self = static_cast<BlockingCalls *>(handle->data);
  if (--self->handles_ > 0) return;
  napi_remove_async_cleanup_hook(self->hook_);
  delete self;
}

Napi::Value BlockingCalls::start(const Napi::CallbackInfo &info) {
  auto env = info.Env();
  auto call = std::make_unique<BlockingCall>();
  auto arguments = info[1].As<Napi::Array>();
  Waiting waiting;
  call->number = static_cast<long>(info[0].As<Napi::Number>().Int64Value());
  call->opens_descriptor = info[2].As<Napi::Boolean>().Value();
  call->mailbox = mailbox_;
  if (!fit_into_words(arguments)) return env.Undefined();
  for (uint32_t i = 0; i < arguments.Length(); i++) {
    Napi::Value value = arguments[i];
    if (value.IsNumber()) {
      call->words[i] = static_cast<long>(value.As<Napi::Number>().Int64Value());
      continue;
    }
    if (value.IsString()) {
      call->bytes[i] = value.As<Napi::String>().Utf8Value();
    } else {
      auto array = value.As<Napi::Uint8Array>();
      call->bytes[i].assign(reinterpret_cast<const char *>(array.Data()), array.ByteLength());
      waiting.outputs.emplace_back(i, Napi::Persistent(array));
    }
    call->words[i] = reinterpret_cast<long>(call->bytes[i].data());
  }
  // An id has 31 bits, is positive, and is never one that is still in use.
  do last_id_ = last_id_ == INT_MAX ? 1 : last_id_ + 1;
  while (waiting_.count(last_id_) > 0);
  uint32_t id = call->id = last_id_;
  int error = 0;
  switch (run_on_thread(call, error)) {
    case Placement::refused:
      return Napi::Number::New(env, -error);
    case Placement::queued:
      if (!uv_is_active(reinterpret_cast<uv_handle_t *>(&relief_)))
        uv_timer_start(&relief_, on_relief, 1, 1);
      break;
    case Placement::running:
      break;
  }
  waiting_.emplace(id, std::move(waiting));
  if (awaited_++ == 0) uv_ref(reinterpret_cast<uv_handle_t *>(&wake_));
  return Napi::Number::New(env, id);
}

void BlockingCalls::abandon(const Napi::CallbackInfo &info) {
  auto found = waiting_.find(info[0].As<Napi::Number>().Uint32Value());
  if (found != waiting_.end()) let_go_of(found->second);
}

/** Abandons a call. Idempotent. */
void BlockingCalls::let_go_of(Waiting &waiting) {
  if (waiting.abandoned) return;
  waiting.abandoned = true;
  waiting.outputs.clear();
  if (--awaited_ == 0) uv_unref(reinterpret_cast<uv_handle_t *>(&wake_));
}

void BlockingCalls::on_relief(uv_timer_t *handle) {
  if (!relieve_queue()) uv_timer_stop(handle);
}

void BlockingCalls::on_wake(uv_async_t *handle) {
  static_cast<BlockingCalls *>(handle->data)->deliver();
}

void BlockingCalls::deliver() {
  for (auto &call : mailbox_->take()) deliver(*call);
}

void BlockingCalls::deliver(BlockingCall &call) {
  // The callback of an earlier call may have been the last one of an environment that is ending.
  auto found = waiting_.find(call.id);
  if (found == waiting_.end()) return call.dispose();
  auto env = done_.Env();
  Napi::HandleScope scope(env);
  if (!runs_javascript(env)) return call.dispose();
  for (auto &[index, output] : found->second.outputs) {
    auto array = output.Value();
    // An array whose memory was transferred to a worker meanwhile is empty.
    size_t size = std::min(array.ByteLength(), call.bytes[index].size());
    if (size > 0) memcpy(array.Data(), call.bytes[index].data(), size);
  }
  let_go_of(found->second);
  waiting_.erase(found);
  // MakeCallback has an async context of its own, so that promises are handled when it returns.
  done_.MakeCallback(env.Global(), {Napi::Number::New(env, call.id),
                                    Napi::Number::New(env, static_cast<double>(call.result)),
                                    Napi::Number::New(env, call.error)});
  // The process hears of an exception in this callback as it does for any other callback.
  if (env.IsExceptionPending()) {
    auto error = env.GetAndClearPendingException();
    napi_fatal_exception(env, error.Value());
  }
}
