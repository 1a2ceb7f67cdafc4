// The JSON of the API: what is understood, what is refused and how, what is said.
#include "webrtc/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "webrtc/trickle.h"

namespace tandem::webrtc {
namespace {

using testing::HasSubstr;

TEST(Protocol, ReadsWhatAClientAsks) {
  const auto call = parse(R"({"id":7,"op":"call","to":"1002","sdp":"v=0\r\n","other":[1,{"x":null}]})", {});
  ASSERT_TRUE(call.ok());
  EXPECT_EQ(call->id, 7);
  EXPECT_EQ(call->op, Op::call);
  EXPECT_EQ(call->to, "1002");
  EXPECT_EQ(call->sdp, "v=0\r\n");
  const auto trickle = parse(
      R"({"id":8,"op":"candidates","call":"c1","end":true,"candidates":[{"candidate":"candidate:1 1 udp 1 192.0.2.1 9 typ host","mid":"0"}]})",
      {});
  ASSERT_TRUE(trickle.ok());
  ASSERT_EQ(trickle->candidates.size(), 1u);
  EXPECT_EQ(trickle->candidates[0].mid, "0");
  EXPECT_TRUE(trickle->end);
}

struct Bad {
  const char* text;
  Code code;
  int64_t id;
  const char* says;
};
class Refusal : public testing::TestWithParam<Bad> {};
TEST_P(Refusal, SaysWhatIsWrong) {
  const auto r = parse(GetParam().text, {});
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.reason().fault.code, GetParam().code);
  EXPECT_EQ(r.reason().id, GetParam().id);
  EXPECT_THAT(r.reason().fault.text, HasSubstr(GetParam().says));
}
INSTANTIATE_TEST_SUITE_P(
    All, Refusal,
    testing::Values(
        Bad{"", Code::bad_json, 0, "no JSON object"}, Bad{"[1]", Code::bad_json, 0, "no JSON object"},
        Bad{"{\"id\":1,", Code::bad_json, 0, "no JSON object"},
        Bad{"{\"id\":1} {}", Code::bad_json, 0, "no JSON"},
        Bad{"{\"id\":1,\"op\":\"\xff\"}", Code::bad_json, 0, "no JSON object"},
        Bad{R"({"a":[[[[[[[[[1]]]]]]]]]})", Code::bad_json, 0, "no JSON object"},
        Bad{R"({"id":-1,"op":"ping"})", Code::bad_request, 0, "\"id\""},
        Bad{R"({"id":3})", Code::bad_request, 3, "\"op\" is missing"},
        Bad{R"({"id":3,"op":"fly"})", Code::unknown_op, 3, "no such operation"},
        Bad{R"({"id":3,"op":"call","to":"1"})", Code::bad_request, 3, "\"sdp\" is missing"},
        Bad{R"({"id":3,"op":"call","to":1,"sdp":"x"})", Code::bad_request, 3, "\"to\" has to be text"},
        Bad{R"({"id":3,"op":"dtmf","call":"c1","digits":"1x"})", Code::bad_request, 3, "\"digits\""},
        Bad{R"({"id":3,"op":"dtmf","call":"c1","digits":"1","duration":9999})", Code::bad_request, 3,
            "40 to 8000"},
        Bad{R"({"id":3,"op":"reject","call":"c1","status":200})", Code::bad_request, 3, "400 to 699"},
        Bad{R"({"id":3,"op":"transfer","call":"c1"})", Code::bad_request, 3, "\"to\""},
        Bad{R"({"id":3,"op":"transfer","call":"c1","to":"1","with":"c2"})", Code::bad_request, 3, "\"to\""},
        Bad{R"({"id":3,"op":"register","on":1})", Code::bad_request, 3, "true or false"},
        Bad{R"({"id":3,"op":"candidates","call":"c1","candidates":[1]})", Code::bad_request, 3, "objects"},
        Bad{R"({"id":3,"op":"candidates","call":"c1","candidates":[{"candidate":"a\r\nb"}]})",
            Code::bad_request, 3, "one line"}));

TEST(Protocol, LongMessagesAreRefusedUnread) {
  const std::string text = R"({"id":1,"op":"ping","x":")" + std::string(70'000, 'a') + "\"}";
  const auto r = parse(text, {});
  ASSERT_FALSE(r.ok());
  EXPECT_THAT(r.reason().fault.text, HasSubstr("too long"));
}

TEST(Protocol, WritesAnswersEventsAndFaults) {
  EXPECT_EQ(write_answer(7, {{"call", std::string("c1")}}), R"({"id":7,"ok":true,"call":"c1"})");
  EXPECT_EQ(write_error(7, {Code::failed, "Busy \"Here\"", 486}),
            R"({"id":7,"ok":false,"error":{"code":"failed","text":"Busy \"Here\"","status":486}})");
  EXPECT_EQ(write_event("candidates", {{"end", true}, {"list", std::vector<Fields>{{{"n", int64_t{1}}}}}}),
            R"({"event":"candidates","end":true,"list":[{"n":1}]})");
  EXPECT_EQ(write_event("message", {{"text", std::string("a\xff")}}),
            "{\"event\":\"message\",\"text\":\"a\xEF\xBF\xBD\"}")
      << "what telephones send need not be UTF-8";
}

TEST(Trickle, FragmentsAreWrittenAndRead) {
  const std::string description = "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:efgh\r\nm=audio 9 X 0\r\na=mid:a\r\n";
  const std::vector<Candidate> sent = {{"candidate:1 1 udp 5 192.0.2.1 4000 typ host", "a", ""},
                                       {"candidate:2 1 udp 4 192.0.2.1 4002 typ host", "b", ""},
                                       {"", "b", ""}};
  const std::string body = write_fragment(description, sent, true);
  EXPECT_EQ(body,
            "a=ice-ufrag:abcd\r\na=ice-pwd:efgh\r\nm=audio 9 RTP/AVP 0\r\na=mid:a\r\n"
            "a=candidate:1 1 udp 5 192.0.2.1 4000 typ host\r\nm=audio 9 RTP/AVP 0\r\na=mid:b\r\n"
            "a=candidate:2 1 udp 4 192.0.2.1 4002 typ host\r\na=end-of-candidates\r\n");
  const Fragment read = read_fragment(body);
  ASSERT_EQ(read.candidates.size(), 2u);
  EXPECT_EQ(read.candidates[1].mid, "b");
  EXPECT_EQ(read.candidates[1].ufrag, "abcd");
  EXPECT_EQ(read.candidates[1].candidate, sent[1].candidate);
  EXPECT_TRUE(read.end);
}

TEST(Trickle, HostileFragmentsAreCut) {
  std::string body;
  for (int i = 0; i < 5000; ++i) body += "a=candidate:1 1 udp 5 192.0.2.1 4000 typ host\r\n";
  EXPECT_EQ(read_fragment(body).candidates.size(), 64u);
  EXPECT_TRUE(read_fragment("").candidates.empty());
  EXPECT_TRUE(read_fragment("a=\nm=\na=mid:\na=ice-ufrag").candidates.empty());
}

}  // namespace
}  // namespace tandem::webrtc
