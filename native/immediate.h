#pragma once

#include <napi.h>

/**
 * System calls that answer from memory. They run at once, on the thread of JavaScript. Adds to `exports`:
 *
 * - `callNow(number, arguments)`: runs syscall(2) with up to six arguments, which are integers, strings
 *   (passed with a NUL) or Uint8Arrays (the kernel reads and fills their own memory). Returns the result, or
 *   a negative errno.
 */
void define_immediate(Napi::Env env, Napi::Object exports);
