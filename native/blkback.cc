#include <napi.h>

#include "blocking.h"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  define_blocking(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(blkback, init)
