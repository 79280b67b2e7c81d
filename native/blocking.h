#pragma once

#include <napi.h>

/**
 * System calls on threads that may be left behind. Adds to `exports`:
 *
 * - `openBlockingCalls(done)`: once in an environment; returns an object with
 *   - `start(number, arguments, opensDescriptor)`: runs syscall(2) with up to six arguments, which are
 *     integers, strings (passed with a NUL) or Uint8Arrays (copied in, and back when the call is over).
 *     Returns a positive id, or the negative errno of pthread_create(3). `opensDescriptor` says that the
 *     result is a descriptor, which is closed if the environment has ended by then.
 *   - `abandon(id)`: the call no longer keeps the process alive, and its buffers are not written any more.
 *   `done(id, result, errno)` comes for every call that was started, abandoned or not; `errno` is 0 for
 *   one that succeeded.
 * - `syscalls`: the numbers of this machine.
 */
void define_blocking(Napi::Env env, Napi::Object exports);
