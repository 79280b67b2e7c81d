#include "endpoint.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace {

/**
 * One thread of the process at a time may be in xs_open, so that a socket that was not there before
 * is its socket. Never destroyed: an abandoned thread may still wait here when the process exits.
 */
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool taken = false;
};

Gate &gate() {
  static Gate *only = new Gate;
  return *only;
}

using Sockets = std::vector<std::pair<int, ino_t>>;

/** The sockets this process has open. */
Sockets list_sockets() {
  Sockets sockets;
  DIR *directory = opendir("/proc/self/fd");
  if (!directory) return sockets;
  while (const dirent *entry = readdir(directory)) {
    int fd = atoi(entry->d_name);
    struct stat stat;
    if (entry->d_name[0] != '.' && fstat(fd, &stat) == 0 && S_ISSOCK(stat.st_mode))
      sockets.emplace_back(fd, stat.st_ino);
  }
  closedir(directory);
  return sockets;
}

/** Whether fd is connected to the socket file that libxenstore connects to. */
bool leads_to(int fd, const struct stat &daemon) {
  sockaddr_un peer{};
  socklen_t length = sizeof peer;
  if (getpeername(fd, reinterpret_cast<sockaddr *>(&peer), &length) != 0) return false;
  if (peer.sun_family != AF_UNIX || length <= offsetof(sockaddr_un, sun_path)) return false;
  std::string path(peer.sun_path, strnlen(peer.sun_path, sizeof peer.sun_path));
  struct stat stat;
  // By inode: xenstored may have been told another spelling of the path.
  return !path.empty() && ::stat(path.c_str(), &stat) == 0 && stat.st_dev == daemon.st_dev &&
         stat.st_ino == daemon.st_ino;
}

/** The one new socket to xenstored, -1 where there is none or more than one. */
int find_new_socket(const Sockets &before) {
  struct stat daemon;
  const char *path = xs_daemon_socket();
  if (!path || stat(path, &daemon) != 0) return -1;
  int found = -1;
  for (auto [fd, inode] : list_sockets()) {
    auto same = [inode = inode](const auto &old) { return old.second == inode; };
    if (std::any_of(before.begin(), before.end(), same) || !leads_to(fd, daemon)) continue;
    if (found != -1) return -1;
    found = fd;
  }
  return found;
}

}  // namespace

Endpoint::~Endpoint() {
  if (lost_epoll_ >= 0) close(lost_epoll_);
  if (socket_ >= 0) close(socket_);
}

xs_handle *Endpoint::open() {
  Gate &turn = gate();
  {
    std::unique_lock lock(turn.mutex);
    turn.changed.wait(lock, [&] { return !turn.taken || cancelled_; });
    if (cancelled_) {
      errno = ECANCELED;
      return nullptr;
    }
    turn.taken = true;
  }
  auto before = list_sockets();
  xs_handle *handle = xs_open(0);
  int error = errno;
  if (handle && !adopt(find_new_socket(before))) {
    error = errno;
    xs_close(handle);
    handle = nullptr;
  }
  {
    std::lock_guard lock(turn.mutex);
    turn.taken = false;
  }
  turn.changed.notify_all();
  errno = error;
  return handle;
}

void Endpoint::cancel_open() {
  {
    std::lock_guard lock(gate().mutex);
    cancelled_ = true;
  }
  gate().changed.notify_all();
}

bool Endpoint::adopt(int fd) {
  if (fd < 0) return true;
  struct stat stat;
  socket_ = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (socket_ < 0 || fstat(socket_, &stat) != 0) return false;
  theirs_ = fd;
  inode_ = stat.st_ino;
  // libuv makes every descriptor that it polls non-blocking, which libxenstore would feel through
  // the duplicate. An epoll set in between keeps the flag away from the socket.
  lost_epoll_ = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLRDHUP;
  return lost_epoll_ >= 0 && epoll_ctl(lost_epoll_, EPOLL_CTL_ADD, socket_, &event) == 0;
}

bool Endpoint::is_lost() const {
  if (socket_ < 0) return false;
  pollfd entry{socket_, POLLRDHUP, 0};
  if (poll(&entry, 1, 0) > 0) return true;
  // The reader thread also gives up on a message that makes no sense.
  return reader_has_closed();
}

bool Endpoint::reader_has_closed() const {
  struct stat stat;
  return fstat(theirs_, &stat) != 0 || !S_ISSOCK(stat.st_mode) || stat.st_ino != inode_;
}

void Endpoint::interrupt() {
  // Reading only: were writing shut down too, a request thread that is just writing would fail and
  // close the descriptor at the same time as the reader thread, once too often.
  if (socket_ >= 0) shutdown(socket_, SHUT_RD);
}

void Endpoint::hang_up() {
  if (socket_ >= 0) shutdown(socket_, SHUT_RDWR);
}

void Endpoint::await_reader() const {
  constexpr int attempts = 5000;
  constexpr useconds_t pause = 200;
  for (int i = 0; i < attempts && !reader_has_closed(); i++) usleep(pause);
}
