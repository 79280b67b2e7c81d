#pragma once

#include <napi.h>

#include <array>

/** The arguments of a system call, as the kernel takes them. */
using Words = std::array<long, 6>;

/** Returns whether a system call can have these arguments. If there are too many, throws a RangeError. */
inline bool fit_into_words(const Napi::Array &arguments) {
  if (arguments.Length() <= Words{}.size()) return true;
  Napi::RangeError::New(arguments.Env(), "a system call has six arguments at most")
      .ThrowAsJavaScriptException();
  return false;
}
