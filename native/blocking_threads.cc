#include "blocking_threads.h"

#include <pthread.h>
#include <semaphore.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <ctime>
#include <deque>
#include <mutex>
#include <unordered_set>
#include <utility>
#include <vector>

namespace {

/** Stack of a thread. A system call needs very little, but preloaded libraries and sanitizers need more. */
constexpr size_t STACK_BYTES = 128 * 1024;
/** Most threads that short calls share. More threads would only be in each other's way. */
constexpr size_t MOST_BRISK = 4;
/** A call that takes longer than this no longer counts as short. */
constexpr auto BRISK_TIME = std::chrono::milliseconds(1);
/** Most threads that wait for more work, and the longest time for which one waits. */
constexpr size_t MOST_IDLE = 8;
constexpr time_t IDLE_SECONDS = 2;

using Clock = std::chrono::steady_clock;

/** A thread. The structure lies on the stack of the thread. */
struct Thread {
  sem_t wake;
  std::unique_ptr<BlockingCall> call;
  Clock::time_point since;
  bool slow = false;
};

/** The state that all environments of the process share. */
struct Threads {
  std::mutex mutex;
  std::deque<std::unique_ptr<BlockingCall>> queue;
  /** The thread that fell idle last is taken first: its stack is warm, and the other threads may end. */
  std::vector<Thread *> idle;
  std::unordered_set<Thread *> busy;
  /** Number of busy threads whose call no longer counts as short. */
  size_t slow = 0;
  /** Number of threads that were created and have not begun to run yet. */
  size_t starting = 0;

  /** Number of threads that are in a short call or have just been created. */
  size_t brisk() const { return busy.size() - slow + starting; }
};

Threads &threads() {
  // The state is never destroyed, because a thread may return from its call while the process ends.
  static auto *shared = new Threads;
  return *shared;
}

/** Notes that a thread begins a call. The caller of begin() and end() holds the lock. */
void begin(Threads &all, Thread &self, std::unique_ptr<BlockingCall> call) {
  self.call = std::move(call);
  self.since = Clock::now();
  self.slow = false;
  all.busy.insert(&self);
}

void end(Threads &all, Thread &self) {
  all.busy.erase(&self);
  if (self.slow) all.slow--;
}

/**
 * Takes the next call. Returns false if no call came for a while, or if enough other threads wait for one.
 */
bool next_call(Threads &all, Thread &self) {
  std::unique_lock lock(all.mutex);
  if (!all.queue.empty()) {
    begin(all, self, std::move(all.queue.front()));
    all.queue.pop_front();
    return true;
  }
  if (all.idle.size() >= MOST_IDLE) return false;
  all.idle.push_back(&self);
  lock.unlock();
  timespec deadline;
  clock_gettime(CLOCK_REALTIME, &deadline);
  deadline.tv_sec += IDLE_SECONDS;
  if (sem_timedwait(&self.wake, &deadline) == 0) return true;
  lock.lock();
  auto found = std::find(all.idle.begin(), all.idle.end(), &self);
  if (found != all.idle.end()) {
    all.idle.erase(found);
    return false;
  }
  // Another thread has just taken this one off the list of idle threads, and is about to wake it.
  lock.unlock();
  while (sem_wait(&self.wake) != 0) {
  }
  return true;
}

void *thread_main(void *) {
  auto &all = threads();
  pthread_setname_np(pthread_self(), "blocking-call");
  Thread self;
  sem_init(&self.wake, 0, 0);
  {
    std::lock_guard lock(all.mutex);
    all.starting--;
  }
  while (next_call(all, self)) {
    self.call->perform();
    {
      std::lock_guard lock(all.mutex);
      end(all, self);
    }
    auto mailbox = self.call->mailbox;
    mailbox->put(std::move(self.call));
  }
  sem_destroy(&self.wake);
  return nullptr;
}

/** Starts a thread, which takes its call from the queue. The caller holds the lock. Returns 0 or an errno. */
int start_thread(Threads &all) {
  pthread_attr_t attributes;
  if (int error = pthread_attr_init(&attributes); error != 0) return error;
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  // A new thread inherits the signal mask. A signal must neither end a call early nor run a handler on the
  // thread.
  sigset_t every, before;
  sigfillset(&every);
  pthread_sigmask(SIG_SETMASK, &every, &before);
  pthread_t thread;
  int error = pthread_create(&thread, &attributes, thread_main, nullptr);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error == 0) all.starting++;
  return error;
}

}  // namespace

Placement run_on_thread(std::unique_ptr<BlockingCall> &call, int &error) {
  auto &all = threads();
  std::unique_lock lock(all.mutex);
  if (!all.idle.empty()) {
    Thread *thread = all.idle.back();
    all.idle.pop_back();
    begin(all, *thread, std::move(call));
    lock.unlock();
    sem_post(&thread->wake);
    return Placement::running;
  }
  if (all.brisk() < MOST_BRISK) {
    error = start_thread(all);
    if (error != 0) return Placement::refused;
    all.queue.push_back(std::move(call));
    return Placement::queued;
  }
  all.queue.push_back(std::move(call));
  return Placement::queued;
}

bool relieve_queue() {
  auto &all = threads();
  std::lock_guard lock(all.mutex);
  if (all.queue.empty()) return false;
  auto limit = Clock::now() - BRISK_TIME;
  for (auto *thread : all.busy) {
    if (thread->slow || thread->since > limit) continue;
    thread->slow = true;
    all.slow++;
  }
  // Where many calls hang, the next ones may hang too, so the number of threads doubles with each step. If a
  // thread cannot be had now, the next call of this function tries again.
  size_t most = MOST_BRISK + all.slow;
  while (all.starting < all.queue.size() && all.brisk() < most && start_thread(all) == 0) {
  }
  return true;
}
