// Another name for a sample's device, everywhere the sample tells the old one.
#pragma once

#include <functional>
#include <string>

#include "ingest/sample.h"

namespace penstock::ingest {

// The device; and, as a whole word (between characters that are neither letters nor digits), in texts and tags, in the
// alarm that travels with it, and in the name of the buffer it came through. Names of fields and of tags stay.
void rename_device(Sample& sample, const std::function<std::string(const std::string& device)>& renamed);

// `text` with every such occurrence of `word` replaced.
std::string replace_word(std::string_view text, std::string_view word, std::string_view with);

}  // namespace penstock::ingest
