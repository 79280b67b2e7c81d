#include "memory_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <string>

namespace {

/** A path on the stack. The kernel would not open a path that does not fit either. */
class Path {
 public:
  explicit Path(const Napi::CallbackInfo &info) {
    size_t length = 0;
    fits_ = napi_get_value_string_utf8(info.Env(), info[0], text_, sizeof(text_), &length) ==
                napi_ok &&
            length < sizeof(text_) - 1;
  }
  bool fits() const { return fits_; }
  const char *text() const { return text_; }

 private:
  char text_[PATH_MAX + 1];
  bool fits_;
};

Napi::Value failed(Napi::Env env, int error) { return Napi::Number::New(env, -error); }

Napi::Value read_file(const Napi::CallbackInfo &info) {
  auto env = info.Env();
  Path path(info);
  if (!path.fits()) return failed(env, ENAMETOOLONG);
  int fd = open(path.text(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return failed(env, errno);
  char part[4096];
  std::string text;
  ssize_t count;
  // The file is read until nothing more comes, because procfs may return fewer bytes than were asked for in
  // the middle of a file.
  while ((count = read(fd, part, sizeof(part))) > 0) text.append(part, static_cast<size_t>(count));
  int error = errno;
  close(fd);
  if (count < 0) return failed(env, error);
  return Napi::String::New(env, text);
}

Napi::Value read_link(const Napi::CallbackInfo &info) {
  auto env = info.Env();
  Path path(info);
  if (!path.fits()) return failed(env, ENAMETOOLONG);
  char target[PATH_MAX];
  ssize_t count = readlink(path.text(), target, sizeof(target));
  if (count < 0) return failed(env, errno);
  return Napi::String::New(env, target, static_cast<size_t>(count));
}

Napi::Value file_error(const Napi::CallbackInfo &info) {
  auto env = info.Env();
  Path path(info);
  if (!path.fits()) return failed(env, ENAMETOOLONG);
  return failed(env, access(path.text(), F_OK) == 0 ? 0 : errno);
}

}  // namespace

void define_memory_files(Napi::Env env, Napi::Object exports) {
  exports.Set("readMemoryFile", Napi::Function::New(env, read_file));
  exports.Set("readMemoryLink", Napi::Function::New(env, read_link));
  exports.Set("memoryFileError", Napi::Function::New(env, file_error));
}
