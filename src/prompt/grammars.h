#pragma once
// The grammars there are, and what they share.
#include "prompt/phrase.h"

namespace tandem::prompt {

const Language& english();
const Language& korean();

/// "digit-7", "star", "pound", "plus"; empty for what is no key.
std::string key_name(char key);
Phrase operator+(Phrase left, const Phrase& right);

}  // namespace tandem::prompt
