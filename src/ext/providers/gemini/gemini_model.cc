#include "ext/providers/gemini/gemini_model.h"

namespace penstock::ext {

GeminiModel gemini_model(std::string_view name) {
  constexpr std::string_view kFolder = "models/";
  constexpr std::string_view kFamily = "gemini-";
  if (name.starts_with(kFolder)) name.remove_prefix(kFolder.size());
  GeminiModel model;
  bool pro = name.find("-pro") != std::string_view::npos;
  if (!name.starts_with(kFamily)) return model;
  char generation = name.size() > kFamily.size() ? name[kFamily.size()] : '\0';
  model.third = (generation >= '3' && generation <= '9') || name.ends_with("-latest");
  model.media_in_results = generation != '1' && generation != '2';
  model.takes_minimal = !pro;
  if (pro) {
    model.thought_least = 128;
    model.thought_most = 32'768;
    model.may_not_think = false;
  } else if (name.find("flash-lite") != std::string_view::npos) {
    model.thought_least = 512;
  }
  return model;
}

}  // namespace penstock::ext
