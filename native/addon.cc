#include <napi.h>

#include "blocking.h"
#include "channel.h"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("Channel", Channel::define(env));
  define_blocking(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(blkback, init)
