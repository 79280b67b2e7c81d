#include <napi.h>

#include <utility>

#include "connection.h"

namespace {

/** Where libxenstore looks for xenstored first, as the process environment says now. */
Napi::Value socket_path(const Napi::CallbackInfo &info) {
  const char *path = xs_daemon_socket();
  return path ? Napi::String::New(info.Env(), path) : info.Env().Undefined();
}

Napi::Object operations(Napi::Env env) {
  auto object = Napi::Object::New(env);
  for (auto [name, op] : {
           std::pair{"read", Op::read},
           {"readMany", Op::read_many},
           {"write", Op::write},
           {"mkdir", Op::mkdir},
           {"remove", Op::remove},
           {"directory", Op::directory},
           {"getPermissions", Op::get_permissions},
           {"setPermissions", Op::set_permissions},
           {"watch", Op::watch},
           {"unwatch", Op::unwatch},
           {"start", Op::start},
           {"end", Op::end},
           {"transact", Op::transact},
       })
    object.Set(name, Napi::Number::New(env, static_cast<uint32_t>(op)));
  return object;
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("Connection", Connection::define(env));
  exports.Set("operations", operations(env));
  exports.Set("socketPath", Napi::Function::New(env, socket_path, "socketPath"));
  return exports;
}

}  // namespace

NODE_API_MODULE(xenstore, init)
