#pragma once

#include <napi.h>

/**
 * Reads of files that the kernel answers from memory: sysfs and procfs. They run at once. Adds to `exports`:
 *
 * - `readMemoryFile(path)`: returns the whole text of a file, as UTF-8.
 * - `readMemoryLink(path)`: returns the target of a symbolic link.
 * - `memoryFileError(path)`: returns 0 if the file exists. Links are followed.
 *
 * Each returns a negative errno on failure. Node's own functions make six system calls for such a read, and
 * throw if the file is missing, which is the usual case here.
 */
void define_memory_files(Napi::Env env, Napi::Object exports);
