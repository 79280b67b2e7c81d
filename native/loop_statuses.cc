#include "loop_statuses.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace {

/** A loop device and its answer. src/linux/loop-statuses.ts has the same layout. */
struct LoopRecord {
  /** N of /dev/loopN. */
  uint32_t number;
  /** 0, or the errno of the failed call. */
  int32_t error;
  /** The failed call: 0 for open(2), 1 for fstat(2), 2 for LOOP_GET_STATUS64. */
  uint32_t step;
  uint32_t unused;
  /** Device number of the opened node, as in stat(2). */
  uint64_t device;
  loop_info64 info;
};
static_assert(sizeof(LoopRecord) == 256);

void read_status(LoopRecord &record) {
  char path[32];
  snprintf(path, sizeof path, "/dev/loop%u", record.number);
  record.step = 0;
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    record.error = errno;
    return;
  }
  struct stat node;
  record.step = 1;
  record.error = fstat(fd, &node) == 0 ? 0 : errno;
  if (record.error == 0) {
    record.device = node.st_rdev;
    record.step = 2;
    record.error = ioctl(fd, LOOP_GET_STATUS64, &record.info) == 0 ? 0 : errno;
  }
  close(fd);
}

}  // namespace

void read_loop_statuses(char *bytes, size_t size) {
  for (size_t at = 0; at + sizeof(LoopRecord) <= size; at += sizeof(LoopRecord)) {
    // The record is copied, because the bytes of a string may not be aligned for it.
    LoopRecord record;
    memcpy(&record, bytes + at, sizeof record);
    read_status(record);
    memcpy(bytes + at, &record, sizeof record);
  }
}
