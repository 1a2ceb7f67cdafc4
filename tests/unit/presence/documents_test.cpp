#include "presence/documents.h"

#include <gtest/gtest.h>

namespace tandem::presence {
namespace {

TEST(Xml, WellFormed) {
  for (std::string_view good :
       {"<a/>", "<?xml version=\"1.0\"?>\n<a x='1' y=\"&lt;\"><b:c>t &amp; &#x41;</b:c><!-- <no> --></a>\n",
        "\xef\xbb\xbf<a/>", "<a><![CDATA[<<<]]></a>", "<a ></a >"})
    EXPECT_TRUE(well_formed_xml(good, 8)) << good;
  for (std::string_view bad : {"",
                               "text",
                               "<a>",
                               "</a>",
                               "<a></b>",
                               "<a/><b/>",
                               "<a x=1/>",
                               "<a x=\"<\"/>",
                               "<a x=\"1/>",
                               "<a",
                               "<>",
                               "<a>&nbsp;</a>",
                               "<a>&</a>",
                               "<a/>text",
                               "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
                               "<a>\x01</a>",
                               "<a>\xff</a>",
                               "<![CDATA[x]]>",
                               "<a><!-- </a>",
                               "<? ",
                               "<a b></a>"})
    EXPECT_FALSE(well_formed_xml(bad, 8)) << bad;
}

TEST(Xml, DepthIsBounded) {
  std::string deep;
  for (int i = 0; i < 9; ++i) deep = "<a>" + deep + "</a>";
  EXPECT_FALSE(well_formed_xml(deep, 8));
  EXPECT_TRUE(well_formed_xml(deep, 9));
  EXPECT_FALSE(well_formed_xml(std::string(1'000'000, '<'), 8));
}

TEST(DialogInfo, EscapesWhatCallersSayOfThemselves) {
  port::LineCall call;
  call.call = 5;
  call.state = port::LineCall::State::confirmed;
  call.initiator = true;
  call.call_id = "x\"y";
  call.remote_uri = "sip:a&b@c";
  call.remote_display = "</identity><evil>";
  const port::AddressOfRecord line{"1001", "example.com"};
  const std::string text = dialog_info(line, {call}, {line, {}}, 3);
  EXPECT_TRUE(well_formed_xml(text, 8)) << text;
  EXPECT_EQ(text.find("<evil>"), std::string::npos);
  EXPECT_NE(text.find("direction=\"initiator\""), std::string::npos);
  EXPECT_NE(text.find("call-id=\"x&quot;y\""), std::string::npos);
  EXPECT_NE(text.find("entity=\"sip:1001@example.com\""), std::string::npos);
}

TEST(DialogInfo, NamesADialogToWhoMayReplaceIt) {
  using State = port::LineCall::State;
  const port::AddressOfRecord line{"1001", "example.com"};
  port::LineCall call;
  call.call_id = "abc@here";
  call.local_tag = "ours";
  call.remote_tag = "theirs";
  call.remote_aor = {"1002", "example.com"};
  call.pickup_group = "sales";
  const auto named = [&](const Watcher& w, State state, bool initiator = false) {
    call.state = state;
    call.initiator = initiator;
    const std::string text = dialog_info(line, {call}, w, 0);
    EXPECT_TRUE(well_formed_xml(text, 8));
    EXPECT_EQ(text.find("<state>terminated"), std::string::npos);  // the state is anybody's to see
    const bool tags = text.find("ours") != std::string::npos;
    EXPECT_EQ(text.find("theirs") != std::string::npos, tags);
    EXPECT_EQ(text.find("abc@here") != std::string::npos, tags);
    return tags;
  };
  const Watcher owner{line, {}}, partner{{"1002", "example.com"}, {}}, stranger{{"1003", "example.com"}, {}},
      colleague{{"1003", "example.com"}, "sales"}, elsewhere{{"1003", "example.net"}, "sales"},
      other_group{{"1003", "example.com"}, "support"};
  for (const State state :
       {State::trying, State::proceeding, State::early, State::confirmed, State::parked}) {
    EXPECT_TRUE(named(owner, state));
    EXPECT_TRUE(named(partner, state));
    for (const Watcher& w : {stranger, elsewhere, other_group, Watcher{}}) EXPECT_FALSE(named(w, state));
    EXPECT_EQ(named(colleague, state), state < State::confirmed);
    EXPECT_FALSE(named(colleague, state, true));
  }
  call.pickup_group.clear();
  EXPECT_FALSE(named(stranger, State::early));
  call.remote_aor = {};
  EXPECT_FALSE(named(Watcher{}, State::early));
}

TEST(DialogInfo, AnIdleLineSaysSo) {
  const std::string text = dialog_info({"1001", "example.com"}, {}, {}, 0);
  EXPECT_TRUE(well_formed_xml(text, 8));
  EXPECT_NE(text.find("<dialog id=\"1001\"><state>terminated</state></dialog>"), std::string::npos);
}

TEST(Pidf, SaysOpenOrClosed) {
  EXPECT_TRUE(well_formed_xml(pidf({"a&b", "example.com"}, true), 8));
  EXPECT_NE(pidf({"a", "b"}, true).find("<basic>open</basic>"), std::string::npos);
  EXPECT_NE(pidf({"a", "b"}, false).find("<basic>closed</basic>"), std::string::npos);
}

}  // namespace
}  // namespace tandem::presence
