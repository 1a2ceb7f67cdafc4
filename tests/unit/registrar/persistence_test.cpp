// Bindings to the store and back, and through parts.
#include "flow.h"
#include "registrar.pb.h"
#include "sip/token.h"

namespace tandem::registrar {
namespace {

class Persistence : public RegistrarFlow {
 protected:
  /// What a store that got this write would give back.
  static port::StoredBindingsAnswer as_stored(const port::SaveBindings& save) {
    return {std::make_shared<const std::vector<port::StoredBinding>>(save.bindings)};
  }
  void load(const port::Answer& stored) {
    changes.clear();
    registrar->start(at(now), out);
    EXPECT_TRUE(registrar->loading());
    take_saves();
    answer_all(stored);
  }
};

TEST_F(Persistence, ChangesAreWrittenBehindAsOne) {
  send("User-Agent: Phone\r\nContact: <sip:a@10.0.0.1>\r\n");
  send("Contact: <sip:b@10.0.0.1>;expires=600\r\n");
  EXPECT_TRUE(take_saves().empty());
  pass(config.save_delay);
  const auto saves = take_saves();
  ASSERT_EQ(saves.size(), 1u);
  EXPECT_EQ(saves[0].aor, alice.aor);
  ASSERT_EQ(saves[0].bindings.size(), 2u);
  EXPECT_EQ(saves[0].bindings[0].contact, "sip:a@10.0.0.1");
  EXPECT_EQ(saves[0].bindings[0].user_agent, "Phone");
  EXPECT_EQ(saves[0].bindings[1].key, "sip:b@10.0.0.1");
  EXPECT_EQ(saves[0].bindings[1].expires, (at(seconds(600)).wall));
}

TEST_F(Persistence, TheEndOfAnAorIsWrittenBeforeItIsForgotten) {
  send("Contact: <sip:a@10.0.0.1>\r\n");
  pass(seconds(1));
  take_saves();
  answer_all(port::Stored{});
  send("Contact: *\r\nExpires: 0\r\n");
  EXPECT_EQ(registrar->aor_count(), 1u);
  pass(seconds(1));
  auto saves = take_saves();
  ASSERT_EQ(saves.size(), 1u);
  EXPECT_TRUE(saves[0].bindings.empty());
  answer_all(port::AskFailure::unavailable);
  EXPECT_EQ(registrar->aor_count(), 1u);
  pass(config.save_retry);
  EXPECT_EQ(take_saves().size(), 1u);
  answer_all(port::Stored{});
  EXPECT_EQ(registrar->aor_count(), 0u);
}

TEST_F(Persistence, AnAwayStoreIsTriedAgainAndCallsAreServedMeanwhile) {
  send("Contact: <sip:a@10.0.0.1>\r\n");
  for (int i = 0; i < 10; ++i) {
    pass(config.save_retry);
    ASSERT_EQ(take_saves().size(), 1u) << i;
    answer_all(port::AskFailure::timed_out);
    EXPECT_EQ(uris().size(), 1u);
  }
  EXPECT_EQ(counters.total("registrar_save_failures_total"), 10u);
  pass(config.save_retry);
  EXPECT_EQ(take_saves().size(), 1u);
  answer_all(port::Stored{});
  pass(seconds(60));
  EXPECT_TRUE(take_saves().empty());
}

TEST_F(Persistence, WritesOfOneAorStayInOrder) {
  send("Contact: <sip:a@10.0.0.1>\r\n");
  pass(seconds(1));
  EXPECT_EQ(take_saves().size(), 1u);
  const auto first = last_asked;
  send("Contact: <sip:b@10.0.0.1>\r\n");
  pass(seconds(1));
  EXPECT_TRUE(take_saves().empty());  // the first is still under way
  last_asked = first;
  answer_all(port::Stored{});
  pass(seconds(1));
  const auto saves = take_saves();
  ASSERT_EQ(saves.size(), 1u);
  EXPECT_EQ(saves[0].bindings.size(), 2u);
}

TEST_F(Persistence, ANodeThatStopsWritesWhatIsOwed) {
  send("Contact: <sip:a@10.0.0.1>\r\n");
  registrar->save_all(at(now), out);
  auto saves = take_saves();
  ASSERT_EQ(saves.size(), 1u);
  EXPECT_EQ(saves[0].bindings.size(), 1u);
  // The first is under way: the second follows it at once, with everything.
  send("Contact: <sip:b@10.0.0.1>\r\n");
  registrar->save_all(at(now), out);
  saves = take_saves();
  ASSERT_EQ(saves.size(), 1u);
  EXPECT_EQ(saves[0].bindings.size(), 2u);
  registrar->save_all(at(now), out);
  EXPECT_TRUE(take_saves().empty());
}

TEST_F(Persistence, RefreshesOfAPhoneThatKeepsItsNatOpenAreNotAllWritten) {
  send("Contact: <sip:a@10.0.0.1>;expires=3600\r\n");
  size_t writes = 0;
  for (int i = 0; i < 120; ++i) {  // an hour, every 30 s
    pass(seconds(30));
    writes += take_saves().size();
    answer_all(port::Stored{});
    send("Contact: <sip:a@10.0.0.1>;expires=3600\r\n");
    const auto& part = registrar->lookup(at(now), alice.aor);
    ASSERT_EQ(part.contacts.size(), 1u);
  }
  EXPECT_GE(writes, 2u);
  EXPECT_LE(writes, 3u);
}

TEST_F(Persistence, ANewCallIdAloneIsWrittenOnlyWhereGruusHangOnIt) {
  const auto register_as = [&](const std::string& call_id, const std::string& params) {
    EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>;expires=3600" + params + "\r\n", {.call_id = call_id}), 200);
    pass(seconds(1));
    const size_t writes = take_saves().size();
    answer_all(port::Stored{});
    return writes;
  };
  EXPECT_EQ(register_as("one", ""), 1u);
  EXPECT_EQ(register_as("two", ""), 0u);
  const std::string instance = ";+sip.instance=\"<urn:uuid:1>\"";
  register_as("three", instance);
  EXPECT_EQ(register_as("four", instance), 1u);
  EXPECT_EQ(register_as("four", instance), 0u);
}

TEST_F(Persistence, ARestartBringsTheBindingsBack) {
  path.transport = port::Transport::udp;
  path.remote = *SocketAddress::parse("203.0.113.5:40000");
  send(
      "User-Agent: Phone\r\nPath: <sip:p;lr>, <sip:q;lr>\r\n"
      "Contact: <sip:a@10.0.0.1>;q=0.5;expires=600;+sip.instance=\"<urn:uuid:1>\"\r\n");
  pass(seconds(1));
  const auto saves = take_saves();
  ASSERT_EQ(saves.size(), 1u);
  const port::Contact before = only();

  config.boot.epoch = 8;
  build();
  now = seconds(300);
  load(as_stored(saves[0]));
  EXPECT_FALSE(registrar->loading());
  EXPECT_EQ(changed(), Strings{"refreshed 1001@example.com 1"});
  const port::Contact after = only();
  EXPECT_EQ(after.uri, before.uri);
  EXPECT_EQ(after.route, before.route);
  EXPECT_EQ(after.q, 500);
  EXPECT_EQ(after.instance, "<urn:uuid:1>");
  EXPECT_EQ(after.path.remote, before.path.remote);
  EXPECT_TRUE(after.fixed);
  EXPECT_FALSE(after.path.flow);  // sockets of the earlier boot are gone
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>;q=0.9\r\n", {.cseq = 1}),
            500);  // the order of requests holds over restarts
  pass(seconds(299));
  EXPECT_EQ(uris().size(), 1u);
  pass(seconds(1));
  EXPECT_TRUE(uris().empty());
}

TEST_F(Persistence, WhatOnlyAConnectionReachedIsKeptButNotCalledAfterARestart) {
  path.transport = port::Transport::wss;
  send("Contact: <sip:a@x.invalid>\r\n");
  pass(seconds(1));
  const auto saves = take_saves();
  config.boot.epoch = 8;
  build();
  load(as_stored(saves.at(0)));
  pass(seconds(1));
  EXPECT_EQ(registrar->contact_count(), 1u);
  EXPECT_TRUE(uris().empty());
  EXPECT_FALSE(registrar->registered(at(now), alice.aor));
  path.flow.generation = 2;
  send("Contact: <sip:a@x.invalid>\r\n");  // it is back, without a new contact
  EXPECT_EQ(uris().size(), 1u);
  EXPECT_EQ(changed(), Strings{"added 1001@example.com 1"});
}

TEST_F(Persistence, WhatCameByAPathIsNotCalledAtItsUriAfterARestart) {
  path.transport = port::Transport::tcp;
  send("Path: <sip:p1.example.com;lr>\r\nContact: <sip:a@198.51.100.9>\r\n");
  pass(seconds(1));
  const auto saves = take_saves();
  config.boot.epoch = 8;
  build();
  load(as_stored(saves.at(0)));
  pass(seconds(1));
  EXPECT_TRUE(only().fixed);
  EXPECT_EQ(only().path.remote, path.remote);
}

TEST_F(Persistence, NothingIsWrittenBeforeEverythingIsRead) {
  send("Contact: <sip:old@10.0.0.1>\r\n");
  pass(seconds(1));
  const auto stored = take_saves();
  build();
  registrar->start(at(now), out);
  take_saves();
  const auto question = last_asked;
  send("Contact: <sip:new@10.0.0.1>\r\n");
  pass(seconds(10));
  EXPECT_TRUE(take_saves().empty());  // writing would replace what is still to be read
  last_asked = question;
  answer_all(as_stored(stored.at(0)));
  pass(seconds(1));
  const auto saves = take_saves();
  ASSERT_EQ(saves.size(), 1u);
  EXPECT_EQ(saves[0].bindings.size(), 2u);
  EXPECT_EQ(uris().size(), 2u);
}

TEST_F(Persistence, WhatRegisteredOrLeftMeanwhileWins) {
  send("Contact: <sip:a@10.0.0.1>;q=0.1\r\n");
  pass(seconds(1));
  const auto stored = take_saves();
  build();
  registrar->start(at(now), out);
  take_saves();
  const auto question = last_asked;
  send("Contact: <sip:a@10.0.0.1>;q=0.9\r\n");
  last_asked = question;
  answer_all(as_stored(stored.at(0)));
  pass(seconds(1));
  EXPECT_EQ(only().q, 900);

  build();
  registrar->start(at(now), out);
  take_saves();
  const auto again = last_asked;
  send("Contact: <sip:a@10.0.0.1>\r\n");
  send("Contact: *\r\nExpires: 0\r\n");
  last_asked = again;
  answer_all(as_stored(stored.at(0)));
  pass(seconds(1));
  EXPECT_TRUE(uris().empty());
}

TEST_F(Persistence, AStoreThatIsAwayAtStartIsAskedAgain) {
  registrar->start(at(now), out);
  take_saves();
  answer_all(port::AskFailure::unavailable);
  EXPECT_TRUE(registrar->loading());
  pass(config.save_retry);
  ASSERT_EQ(out.asks.size(), 1u);
  take_saves();
  answer_all(port::NotFound{});
  EXPECT_FALSE(registrar->loading());
}

TEST_F(Persistence, EachWorkerTakesItsShards) {
  std::vector<port::StoredBinding> rows;
  for (int i = 0; i < 100; ++i) {
    alice.aor.user = std::to_string(2000 + i);
    send("Contact: <sip:a@10.0.0.1>\r\n", {.to = "<sip:" + alice.aor.user + "@example.com>"});
  }
  pass(seconds(1));
  for (auto& save : take_saves()) rows.push_back(save.bindings.at(0));
  ASSERT_EQ(rows.size(), 100u);
  const auto all = std::make_shared<const std::vector<port::StoredBinding>>(rows);
  size_t sum = 0;
  config.workers = 3;
  for (config.worker = 0; config.worker < 3; ++config.worker) {
    build();
    load(port::StoredBindingsAnswer{all});
    pass(seconds(1));
    EXPECT_GT(registrar->contact_count(), 10u);
    sum += registrar->contact_count();
  }
  EXPECT_EQ(sum, 100u);
}

TEST_F(Persistence, PartsThatMakeNoSenseAreCountedAndSkipped) {
  std::vector<port::StoredBinding> rows(3);
  for (auto& row : rows) {
    row.aor = alice.aor;
    row.part = "\xff\xff\xff";
  }
  proto::BindingPart part;
  part.set_contact("sip:a@b");
  part.set_transport(77);
  rows[1].part = part.SerializeAsString();
  part.set_transport(0);
  part.set_expires_wall_ns(at(seconds(60)).wall.ns);
  rows[2].part = part.SerializeAsString();
  load(port::StoredBindingsAnswer{std::make_shared<const std::vector<port::StoredBinding>>(rows)});
  pass(seconds(1));
  EXPECT_EQ(registrar->contact_count(), 1u);
  EXPECT_EQ(counters.total("registrar_unreadable_parts_total"), 2u);
}

TEST_F(Persistence, SnapshotThroughBytesGoesOnAsBefore) {
  path.transport = port::Transport::tcp;
  send("Supported: outbound\r\nContact: <sip:a@10.9.9.9>;reg-id=1;+sip.instance=\"<urn:uuid:1>\"\r\n");
  send("Contact: <sip:b@10.0.0.1>;expires=100;q=0.3\r\n");
  std::vector<Registrar::Part> parts;
  registrar->snapshot(at(now), parts);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].shard, Registrar::shard_of(alice.aor));
  const auto before = registrar->lookup(at(now), alice.aor).contacts;

  build();  // the same node, the same boot, another worker
  EXPECT_TRUE(registrar->restore(at(now), parts[0].bytes));
  const auto after = registrar->lookup(at(now), alice.aor).contacts;
  ASSERT_EQ(after.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(after[i].uri, before[i].uri);
    EXPECT_EQ(after[i].path, before[i].path);
    EXPECT_EQ(after[i].fixed, before[i].fixed);
    EXPECT_EQ(after[i].key, before[i].key);
  }
  pass(seconds(100));
  EXPECT_EQ(uris(), Strings{"sip:a@10.9.9.9"});
  changes.clear();
  registrar->on_flow(at(now), {port::FlowEvent::Kind::closed, path.flow, path, 0}, out, changes);
  EXPECT_EQ(changed(), Strings{"removed 1001@example.com 0"});
  EXPECT_FALSE(registrar->restore(at(now), "\xff"));
}

TEST_F(Persistence, AnUnwrittenGoodbyeSurvivesASnapshot) {
  send("Contact: <sip:a@10.0.0.1>\r\n");
  pass(seconds(1));
  const auto stored = take_saves();
  answer_all(port::Stored{});
  send("Contact: *\r\nExpires: 0\r\n");
  std::vector<Registrar::Part> parts;
  registrar->snapshot(at(now), parts);
  build();
  for (const auto& part : parts) EXPECT_TRUE(registrar->restore(at(now), part.bytes));
  load(as_stored(stored.at(0)));
  pass(seconds(1));
  EXPECT_TRUE(uris().empty());
  const auto saves = take_saves();
  ASSERT_EQ(saves.size(), 1u);
  EXPECT_TRUE(saves[0].bindings.empty());
}

}  // namespace
}  // namespace tandem::registrar
