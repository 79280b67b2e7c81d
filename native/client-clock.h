/* The clock by which the hotplug client counts its time. */
#pragma once

#include <time.h>

/* Returns the milliseconds of the monotonic clock. */
static inline long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
