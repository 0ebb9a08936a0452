// C11's threads, mutexes and conditions by those of POSIX, for programs under ThreadSanitizer. It knows the latter
// alone: a thread that libc's thrd_create() makes is none of its threads and crashes with its first allocation, and
// what a mtx_t guards looks like a race. A library that is opened finds these before libc's, because they are the
// program's own.
#include <pthread.h>
#include <threads.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <type_traits>

extern "C" {

// Of the sanitizer.
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);

// Nor does it see the atomic counters by which librdkafka shares what it allocates. So what the library itself copies
// and frees is left out; what of ours it calls is not.
const char* __tsan_default_suppressions() { return "called_from_lib:librdkafka.so\n"; }
}

namespace {

// As in glibc, which has one behind the other.
static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t) && alignof(mtx_t) == alignof(pthread_mutex_t));
static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t) && alignof(cnd_t) == alignof(pthread_cond_t));
static_assert(std::is_same_v<thrd_t, pthread_t>);

pthread_mutex_t* posix(mtx_t* mutex) { return reinterpret_cast<pthread_mutex_t*>(mutex); }
pthread_cond_t* posix(cnd_t* condition) { return reinterpret_cast<pthread_cond_t*>(condition); }

int c11(int error) {
  return error == 0 ? thrd_success : error == ETIMEDOUT ? thrd_timedout : error == EBUSY ? thrd_busy : thrd_error;
}

// Puts threads in order for the sanitizer; the mutex or condition itself lies in the library's memory.
template <class... Arguments>
int call(int (*function)(Arguments...), std::type_identity_t<Arguments>... arguments) {
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  const int error = function(arguments...);
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  return c11(error);
}

struct Start {
  thrd_start_t function;
  void* argument;
};

}  // namespace

extern "C" {

int thrd_create(thrd_t* thread, thrd_start_t function, void* argument) {
  auto start = std::make_unique<Start>(Start{function, argument});
  const auto run = [](void* given) -> void* {
    const Start begin = *std::unique_ptr<Start>(static_cast<Start*>(given));
    return reinterpret_cast<void*>(static_cast<std::intptr_t>(begin.function(begin.argument)));
  };
  const int error = pthread_create(thread, nullptr, run, start.get());
  if (error == 0) (void)start.release();
  return c11(error);
}

int thrd_join(thrd_t thread, int* result) {
  void* answer = nullptr;
  const int error = pthread_join(thread, &answer);
  if (error == 0 && result != nullptr) *result = static_cast<int>(reinterpret_cast<std::intptr_t>(answer));
  return c11(error);
}

int mtx_init(mtx_t* mutex, int type) {
  pthread_mutexattr_t how;
  pthread_mutexattr_init(&how);
  if ((type & mtx_recursive) != 0) pthread_mutexattr_settype(&how, PTHREAD_MUTEX_RECURSIVE);
  const int result = call(pthread_mutex_init, posix(mutex), &how);
  pthread_mutexattr_destroy(&how);
  return result;
}
void mtx_destroy(mtx_t* mutex) { call(pthread_mutex_destroy, posix(mutex)); }
int mtx_lock(mtx_t* mutex) { return call(pthread_mutex_lock, posix(mutex)); }
int mtx_trylock(mtx_t* mutex) { return call(pthread_mutex_trylock, posix(mutex)); }
int mtx_unlock(mtx_t* mutex) { return call(pthread_mutex_unlock, posix(mutex)); }

int cnd_init(cnd_t* condition) { return call(pthread_cond_init, posix(condition), nullptr); }
void cnd_destroy(cnd_t* condition) { call(pthread_cond_destroy, posix(condition)); }
int cnd_signal(cnd_t* condition) { return call(pthread_cond_signal, posix(condition)); }
int cnd_broadcast(cnd_t* condition) { return call(pthread_cond_broadcast, posix(condition)); }
int cnd_wait(cnd_t* condition, mtx_t* mutex) { return call(pthread_cond_wait, posix(condition), posix(mutex)); }
int cnd_timedwait(cnd_t* condition, mtx_t* mutex, const timespec* until) {
  return call(pthread_cond_timedwait, posix(condition), posix(mutex), until);
}
}
