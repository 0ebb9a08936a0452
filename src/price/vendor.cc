#include "price/vendor.h"

#include <array>

#include "base/glob.h"
#include "price/quantity.h"

namespace penstock::price {
namespace {

struct Host {
  std::string_view pattern;
  std::string_view vendor;
};

// Only hosts that sell at the list prices of the catalog: regional addresses with prices of their own are left out.
constexpr std::array<Host, 22> kHosts{{{"api.openai.com", "openai"},
                                       {"api.anthropic.com", "anthropic"},
                                       {"generativelanguage.googleapis.com", "gemini"},
                                       {"*.openai.azure.com", "azure"},
                                       {"bedrock-runtime.us-east-1.amazonaws.com", "bedrock"},
                                       {"bedrock-runtime.us-west-2.amazonaws.com", "bedrock"},
                                       {"api.mistral.ai", "mistral"},
                                       {"codestral.mistral.ai", "mistral"},
                                       {"api.cohere.com", "cohere"},
                                       {"api.cohere.ai", "cohere"},
                                       {"api.deepseek.com", "deepseek"},
                                       {"api.x.ai", "xai"},
                                       {"api.groq.com", "groq"},
                                       {"api.together.xyz", "together"},
                                       {"api.together.ai", "together"},
                                       {"api.fireworks.ai", "fireworks"},
                                       {"api.perplexity.ai", "perplexity"},
                                       {"api.moonshot.ai", "moonshot"},
                                       {"api.cerebras.ai", "cerebras"},
                                       {"api.z.ai", "zai"},
                                       {"api.minimax.io", "minimax"},
                                       {"api.voyageai.com", "voyage"}}};

enum class Dated { dashes, digits };

struct DateRule {
  std::string_view vendor;
  Dated form;
};

constexpr std::array<DateRule, 3> kDateRules{
    {{"openai", Dated::dashes}, {"azure", Dated::dashes}, {"anthropic", Dated::digits}}};

std::string_view without(std::string_view model, Dated form) {
  std::size_t size = form == Dated::dashes ? 10 : 8;
  if (model.size() <= size + 1 || model[model.size() - size - 1] != '-') return {};
  std::string day(model.substr(model.size() - size));
  if (form == Dated::digits) day = day.substr(0, 4) + "-" + day.substr(4, 2) + "-" + day.substr(6);
  return parse_day(day) ? model.substr(0, model.size() - size - 1) : std::string_view();
}

}  // namespace

std::string_view vendor_of_host(std::string_view host) {
  for (const Host& known : kHosts) {
    if (base::glob_matches(known.pattern, host)) return known.vendor;
  }
  return {};
}

std::string_view undated(std::string_view vendor, std::string_view model) {
  for (const DateRule& rule : kDateRules) {
    if (rule.vendor == vendor) return without(model, rule.form);
  }
  return {};
}

}  // namespace penstock::price
