#pragma once

#include <napi.h>

/**
 * System calls on threads that may be left behind. Adds to `exports`:
 *
 * - `openBlockingCalls(done)`: called once in an environment; returns an object with
 *   - `start(number, arguments, opensDescriptor)`: runs syscall(2) with up to six arguments, which are
 *     integers, strings (passed with a NUL) or Uint8Arrays (copied for the call, and copied back when the
 *     call is over). Returns a positive id, or the negative errno of pthread_create(3). `opensDescriptor`
 *     says that the result is a descriptor, which is closed if the environment has ended before the call
 *     comes back.
 *   - `abandon(id)`: from now on the call does not keep the process alive, and its Uint8Arrays are not
 *     written.
 *   `done(id, result, errno)` is called for every call that was started, abandoned or not. `errno` is 0 for a call
 *   that succeeded.
 * - `syscalls`: the numbers of the system calls on this machine.
 * - `exitAtOnce(status)`: ends the process by _exit(2), which waits for no thread.
 */
void define_blocking(Napi::Env env, Napi::Object exports);
