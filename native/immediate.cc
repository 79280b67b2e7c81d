#include "immediate.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "arguments.h"

namespace {

Napi::Value call_now(const Napi::CallbackInfo &info) {
  auto env = info.Env();
  auto arguments = info[1].As<Napi::Array>();
  Words words{};
  std::array<std::string, 6> strings;
  if (!fit_into_words(arguments)) return env.Undefined();
  for (uint32_t i = 0; i < arguments.Length(); i++) {
    Napi::Value value = arguments[i];
    if (value.IsNumber()) {
      words[i] = static_cast<long>(value.As<Napi::Number>().Int64Value());
    } else if (value.IsString()) {
      strings[i] = value.As<Napi::String>().Utf8Value();
      words[i] = reinterpret_cast<long>(strings[i].c_str());
    } else {
      words[i] = reinterpret_cast<long>(value.As<Napi::Uint8Array>().Data());
    }
  }
  auto number = static_cast<long>(info[0].As<Napi::Number>().Int64Value());
  long result = syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]);
  return Napi::Number::New(env, static_cast<double>(result == -1 ? -errno : result));
}

}  // namespace

void define_immediate(Napi::Env env, Napi::Object exports) {
  exports.Set("callNow", Napi::Function::New(env, call_now));
}
