// Words out of a stranger's file, for people and for JSON.
#pragma once

#include <string>

namespace penstock::infer {

// Control characters become spaces; of a text that is no UTF-8, every byte beyond ASCII a question mark.
std::string shown_text(std::string text);

}  // namespace penstock::infer
