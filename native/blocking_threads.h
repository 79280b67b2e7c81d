#pragma once

#include <memory>

#include "blocking_call.h"

/** The fate of a new call: an idle thread has it, it waits in the queue, or no thread can be had. */
enum class Placement { running, queued, refused };

/**
 * Gives a call to an idle thread or to a new thread. If several other calls are running, and have been
 * running for a moment only, the call waits for the thread that is free next. Returns `refused` if the call
 * needs a new thread and none can be had. `error` is the errno of pthread_create(3) then, and the caller
 * keeps the call.
 */
Placement run_on_thread(std::unique_ptr<BlockingCall> &call, int &error);

/**
 * Starts threads for queued calls if the calls before them take long. Must be called every millisecond while
 * a call may be queued. Returns whether a call may still be queued.
 */
bool relieve_queue();
