// What a thread of a pool may run: work that returns a Result and throws nothing.
#pragma once

#include <exception>
#include <new>

#include "base/result.h"

namespace penstock::rt {

// What `work` returns, or what it throws as an error: resource_exhausted without memory, else internal.
template <class Work>
auto attempt(Work& work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return fail(Errc::resource_exhausted, "there is not enough memory for this");
  } catch (const std::exception& error) {
    return fail(Errc::internal, error.what());
  }
}

}  // namespace penstock::rt
