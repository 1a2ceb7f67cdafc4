#include "call/flow.h"
namespace tandem::call {
std::string Layer::part_of(Now, Call&, bool) { return {}; }
}
