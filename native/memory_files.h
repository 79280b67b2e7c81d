#pragma once

#include <napi.h>

/**
 * Reads of files that the kernel answers from memory, made at once: sysfs and procfs. Adds to `exports`:
 *
 * - `readMemoryFile(path)`: the whole text of a file, as UTF-8.
 * - `readMemoryLink(path)`: what a symbolic link says.
 * - `memoryFileError(path)`: whether there is such a file, links followed: 0 if there is.
 *
 * Each returns a negative errno on failure. Node's own functions make six system calls for such a read
 * and throw where the file is missing, which is the usual answer here.
 */
void define_memory_files(Napi::Env env, Napi::Object exports);
