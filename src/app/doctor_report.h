// What `penstock doctor` found, line by line.
#pragma once

#include <cstdio>
#include <string>

namespace penstock::app {

// Prints findings and remembers whether one was bad.
class Report {
 public:
  void good(const std::string& what) { std::printf("  ok    %s\n", what.c_str()); }
  void bad(const std::string& what, const std::string& cure) {
    std::printf("  FAIL  %s\n        -> %s\n", what.c_str(), cure.c_str());
    ++bad_;
  }
  void note(const std::string& what) { std::printf("  note  %s\n", what.c_str()); }
  int bad_count() const { return bad_; }

 private:
  int bad_ = 0;
};

}  // namespace penstock::app
