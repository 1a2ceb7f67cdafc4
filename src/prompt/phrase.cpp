#include "prompt/phrase.h"

#include "prompt/grammars.h"

namespace tandem::prompt {

std::string key_name(char key) {
  if (key >= '0' && key <= '9') return std::string("digit-") + key;
  if (key == '*') return "star";
  if (key == '#') return "pound";
  return key == '+' ? "plus" : "";
}

Phrase operator+(Phrase left, const Phrase& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

Phrase Language::digits(std::string_view number) const {
  Phrase phrase;
  for (const char c : number)
    if (std::string name = key_name(c); !name.empty()) phrase.push_back(std::move(name));
  return phrase;
}

const Language& language(std::string_view code) {
  for (const Language* l : languages())
    if (code.starts_with(l->code()) && (code.size() == l->code().size() || code[l->code().size()] == '-'))
      return *l;
  return english();
}

std::vector<const Language*> languages() { return {&english(), &korean()}; }

}  // namespace tandem::prompt
