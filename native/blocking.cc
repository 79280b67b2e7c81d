#include "blocking.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

#include "blocking_environment.h"
#include "loop_statuses.h"

void define_blocking(Napi::Env env, Napi::Object exports) {
  auto numbers = Napi::Object::New(env);
  for (auto [name, number] : {
           std::pair{"close", SYS_close},
           {"fcntl", SYS_fcntl},
           {"ftruncate", SYS_ftruncate},
           {"getdents64", SYS_getdents64},
           {"getrandom", SYS_getrandom},
           {"ioctl", SYS_ioctl},
           {"mknodat", SYS_mknodat},
           {"openat", SYS_openat},
           {"openat2", SYS_openat2},
           {"readlinkat", SYS_readlinkat},
           {"statfs", SYS_statfs},
           {"fstatfs", SYS_fstatfs},
           {"statx", SYS_statx},
           {"unlinkat", SYS_unlinkat},
           {"read", SYS_read},
           {"write", SYS_write},
           {"loopStatuses", LOOP_STATUSES},
           // Only tests use this call: it waits as long as it is told.
           {"nanosleep", SYS_nanosleep},
       })
    numbers.Set(name, Napi::Number::New(env, static_cast<double>(number)));
  exports.Set("syscalls", numbers);
  // exit(3) waits for threads whose calls hang, including those of libuv. _exit(2) does not.
  exports.Set("exitAtOnce", Napi::Function::New(env, [](const Napi::CallbackInfo &info) {
                _exit(info[0].As<Napi::Number>().Int32Value());
              }));
  exports.Set("openBlockingCalls",
              Napi::Function::New(env, BlockingCalls::open, "openBlockingCalls"));
}
