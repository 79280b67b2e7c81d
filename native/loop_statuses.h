#pragma once

#include <cstddef>

/** Takes the place of a system call's number. No kernel has a system call with a negative number. */
constexpr long LOOP_STATUSES = -1;

/**
 * Reads the status of loop devices, one after another (LOOP_GET_STATUS64). `bytes` is an array of `struct
 * LoopRecord`, and `size` is its length in bytes. Each record names a loop device and gets its answer. A
 * device that does not answer keeps the devices after it waiting.
 */
void read_loop_statuses(char *bytes, size_t size);
