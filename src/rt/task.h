// Task<T>: a coroutine that starts when awaited and resumes its awaiter when done, by symmetric transfer. A root task
// is started with spawn(). Tasks never move between loops by themselves. A function that often has its result at once
// is no coroutine then: it returns Task<T>::ready(value), which costs no frame, or the task of one that waits.
//
// Rules for every coroutine in this code base: parameters are values (or outlive the task by contract), no capturing
// lambda is itself a coroutine, and objects are named before they are moved into an awaited call.
#pragma once

#include <coroutine>
#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace penstock::rt {

template <class T = void>
class Task;

namespace detail {

struct FinalAwaiter {
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> handle) const noexcept {
    auto next = handle.promise().continuation;
    return next ? next : std::noop_coroutine();
  }
  void await_resume() const noexcept {}
};

// Frames are made and freed by the thousand per second in a few sizes: each thread keeps the freed ones by size.
void* allocate_frame(std::size_t bytes);
void free_frame(void* frame, std::size_t bytes) noexcept;

struct PromiseBase {
  static void* operator new(std::size_t bytes) { return allocate_frame(bytes); }
  static void operator delete(void* frame, std::size_t bytes) noexcept { free_frame(frame, bytes); }

  std::coroutine_handle<> continuation;
  std::exception_ptr exception;
  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { exception = std::current_exception(); }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() {
    if (exception) std::rethrow_exception(exception);
    return std::move(*value);
  }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() const noexcept {}
  void take() const {
    if (exception) std::rethrow_exception(exception);
  }
};

}  // namespace detail

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;
  using Value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

  explicit Task(Handle handle) : handle_(handle) {}
  static Task ready(Value value = Value()) { return Task(std::in_place, std::move(value)); }
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})), value_(std::move(other.value_)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, {});
      value_ = std::move(other.value_);
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return !handle_; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
    handle_.promise().continuation = awaiting;
    return handle_;
  }
  T await_resume() {
    if (handle_) return handle_.promise().take();
    if constexpr (!std::is_void_v<T>) return std::move(*value_);
  }

 private:
  Task(std::in_place_t, Value value) : value_(std::move(value)) {}
  Handle handle_;
  std::optional<Value> value_;
};

namespace detail {

template <class T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

// The frame of a root task: owns the task and frees itself at the end.
struct Root {
  struct promise_type {
    Root get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    // An exception that nobody handled is a bug: better a core dump at its place than a half-dead connection.
    void unhandled_exception() const noexcept { std::terminate(); }
  };
};

inline Root run_root(Task<void> task, std::function<void()> done) {
  co_await task;
  if (done) done();
}

}  // namespace detail

// Runs `task` on this thread up to its first wait; it goes on when what it waits for resumes it. `done` runs after it.
inline void spawn(Task<void> task, std::function<void()> done = {}) {
  detail::run_root(std::move(task), std::move(done));
}

}  // namespace penstock::rt
