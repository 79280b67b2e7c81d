#pragma once

#include <cstddef>

/** Stands where the number of a system call would: no kernel has one that is negative. */
constexpr long LOOP_STATUSES = -1;

/**
 * Asks loop devices, one after another, what they stand on (LOOP_GET_STATUS64). `bytes` is an array of
 * records as `struct LoopRecord` has them: each names a loop device, and gets the answer. One that does
 * not answer keeps those after it waiting.
 */
void read_loop_statuses(char *bytes, size_t size);
