// What a person sees of an answer.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "tandem/ctl_output.h"

namespace tandem::app {
namespace {

namespace json = boost::json;

TEST(CtlOutput, ValuesHaveNoJsonQuotes) {
  EXPECT_EQ(cell("Front desk"), "Front desk");
  EXPECT_EQ(cell(json::parse(R"(["a", "b c", 3])")), "a, b c, 3");
  EXPECT_EQ(cell(json::parse("[]")), "");
  EXPECT_EQ(cell(json::parse("true")), "true");
  EXPECT_EQ(cell(json::parse("17")), "17");
}

TEST(CtlOutput, StrangersDoNotSteerTheTerminal) {
  EXPECT_EQ(cell("a\x1b[2Jb\nc\x7f"), "a\\x1b[2Jb\\x0ac\\x7f");
  EXPECT_EQ(cell("\u009b2J"), "\\x9b2J");
  EXPECT_EQ(cell("M\u00fcller \u00a9"), "M\u00fcller \u00a9");
}

TEST(CtlOutput, ColumnsAreAsWideAsTheirWidestCell) {
  const json::value rows = json::parse(R"([{"name": "M\u00fcller", "n": 1}, {"name": "Bo"}])");
  EXPECT_EQ(table(rows.as_array(), {"name", "n"}), "name    n\nM\u00fcller  1\nBo\n");
  EXPECT_EQ(table({}, {"name", "n"}), "name  n\n");
}

TEST(CtlOutput, ACallShowsEachLeg) {
  const json::value call = json::parse(R"({
    "id": "281474976710657", "state": "connected", "forwarding": {"busy": "1009"}, "aliases": ["a", "b"],
    "legs": [{"id": 0, "party": "1001@example.com", "display": "", "state": "connected", "codec": "PCMA"},
             {"id": 1, "party": "1002@example.com", "display": "Bo", "state": "held", "codec": "PCMU"}]})");
  EXPECT_EQ(lines(call.as_object()),
            "id = 281474976710657\n"
            "state = connected\n"
            "forwarding.busy = 1009\n"
            "aliases = a, b\n"
            "legs:\n"
            "  id  party             display  state      codec\n"
            "  0   1001@example.com           connected  PCMA\n"
            "  1   1002@example.com  Bo       held       PCMU\n");
}

}  // namespace
}  // namespace tandem::app
