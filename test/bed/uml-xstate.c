// Lets User-Mode Linux of Linux 6.1 run on a processor with more registers than it knows, such as those of
// AMX. It has room for the first 2696 bytes of a process' extended state (arch/x86/um/user-offsets.c,
// HOST_FP_SIZE), and the host takes back only all of it (arch/x86/kernel/fpu/regset.c, xstateregs_set). So what
// it gives back is put before the rest that the process has already. LD_PRELOAD for linux.uml.
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

// Of the header of the state: the bits of the parts that have values (Intel SDM, volume 1, XSAVE header).
enum { HEADER = 512, ROOM = 64 * 1024 };
// The parts of AMX, which begin behind what User-Mode Linux keeps.
static const uint64_t AMX = UINT64_C(3) << 17;

typedef long (*function)(enum __ptrace_request, ...);

long ptrace(enum __ptrace_request request, ...) {
  static function next;
  if (!next) next = (function)dlsym(RTLD_NEXT, "ptrace");
  va_list args;
  va_start(args, request);
  pid_t pid = va_arg(args, pid_t);
  void *address = va_arg(args, void *);
  void *data = va_arg(args, void *);
  va_end(args);
  if (request != PTRACE_SETREGSET || (uintptr_t)address != NT_X86_XSTATE)
    return next(request, pid, address, data);
  static uint8_t state[ROOM];
  struct iovec whole = {state, sizeof state};
  const struct iovec *kept = data;
  if (next(PTRACE_GETREGSET, pid, address, &whole) || kept->iov_len >= whole.iov_len)
    return next(request, pid, address, data);
  memcpy(state, kept->iov_base, kept->iov_len);
  uint64_t parts;
  memcpy(&parts, state + HEADER, sizeof parts);
  parts &= ~AMX;
  memcpy(state + HEADER, &parts, sizeof parts);
  return next(request, pid, address, &whole);
}
