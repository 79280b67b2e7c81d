#pragma once

// xenstore.h does not say `extern "C"` itself, nor may what it includes be read inside it.
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>

extern "C" {
#include <xenstore.h>
}
