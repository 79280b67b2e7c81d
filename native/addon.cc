#include <napi.h>

#include "blocking.h"
#include "channel.h"
#include "immediate.h"
#include "memory_files.h"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("Channel", Channel::define(env));
  define_blocking(env, exports);
  define_immediate(env, exports);
  define_memory_files(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(blkback, init)
