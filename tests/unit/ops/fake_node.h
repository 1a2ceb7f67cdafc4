#pragma once
// A node that answers at once, for tests of the API.
#include <map>
#include <string>
#include <vector>

#include "ops/api.h"
#include "route/plan.h"

namespace tandem::ops {

struct FakeNode final : NodeControl {
  void calls(size_t, std::function<void(std::vector<call::CallInfo>)> then) override { then({}); }
  void call(call::CallId id, std::function<void(std::optional<call::CallInfo>)> then) override {
    then(id == live.id ? std::optional(live) : std::nullopt);
  }
  call::CallInfo live;
  void hangup(call::CallId id, std::function<void(bool)> then) override {
    hung_up.push_back(id);
    then(true);
  }
  std::vector<call::CallId> hung_up;
  std::vector<RecordingView> recordings(const std::string& day) override {
    if (day != "2026-11-25") return {};
    return {{"142233-a.json", 100}, {"142233-a.wav", 4000}, {"142240-b.wav.part", 5}};
  }
  void conferences(std::function<void(std::vector<call::ConferenceInfo>)> then) override {
    call::ConferenceInfo c;
    c.domain = "example.org";
    c.name = "800";
    c.lecture = true;
    c.members.push_back({7, "1001@example.org", "Ann", true, false, false, true, 20});
    then({c});
  }
  void change_conference(ConferenceChange change, std::function<void(bool found)> then) override {
    changes.push_back(change);
    then(change.name == "800");
  }
  std::vector<ConferenceChange> changes;
  void record(call::CallId id, call::RecordingAction action, bool announce,
              std::function<void(call::RecordingDone)> then) override {
    recorded.push_back(std::string(port::to_text(action)) + (announce ? " announced" : ""));
    then(id == 7 ? recording_done : call::RecordingDone::no_call);
  }
  std::vector<std::string> recorded;
  call::RecordingDone recording_done = call::RecordingDone::done;
  void play(call::CallId id, call::PlayOrder order, std::function<void(call::PlayDone)> then) override {
    played.push_back(std::move(order));
    then(id == 7 ? play_done : call::PlayDone::no_call);
  }
  std::vector<call::PlayOrder> played;
  call::PlayDone play_done = call::PlayDone::done;
  void order(call::CallOrder order, std::function<void(call::Ordered)> then) override {
    orders.push_back(std::move(order));
    then(ordered);
  }
  std::vector<call::CallOrder> orders;
  call::Ordered ordered{call::Ordered::Outcome::placed, 42};
  void transfer(call::CallId, uint16_t, std::string, std::function<void(bool)> then) override { then(false); }
  void registrations(std::string, std::string, size_t,
                     std::function<void(std::vector<RegistrationView>)> then) override {
    then(registrations_now);
  }
  std::vector<RegistrationView> registrations_now;
  void contacts(std::vector<port::AddressOfRecord> aors,
                std::function<void(std::vector<size_t>)> then) override {
    std::vector<size_t> counts;
    for (const port::AddressOfRecord& aor : aors) counts.push_back(registered[aor.user]);
    then(std::move(counts));
  }
  void unregister(port::AddressOfRecord, std::function<void(bool)> then) override { then(false); }
  void trunk_status(std::function<void(std::vector<TrunkStatusView>)> then) override { then({}); }
  std::optional<TurnCredentials> turn_credentials(const std::string& user,
                                                  std::optional<int64_t> ttl) override {
    if (!has_turn) return std::nullopt;
    return TurnCredentials{"1:" + user, "secret", ttl.value_or(86400), {"turn:192.0.2.1:3478"}};
  }
  void turn_allocations(size_t, std::function<void(std::vector<turn::AllocationInfo>)> then) override {
    turn::AllocationInfo a;
    a.user = "1001";
    a.client = "192.0.2.7:4000";
    a.transport = "udp";
    a.relays = {"192.0.2.1:50000"};
    then({a});
  }
  bool has_turn = true;
  route::Decision explain(const route::CallRequest& request) override { return plan->explain(request); }
  void plan_changed() override { ++plans; }
  void subscriber_changed(const port::AddressOfRecord& aor) override { changed.push_back(aor); }
  void webhooks_changed() override { ++hooks; }
  int hooks = 0;
  void mailbox_changed(const port::AddressOfRecord& mailbox) override { mailboxes.push_back(mailbox); }
  void remove_file(const port::SoundFile& file) override { removed.push_back(file.name); }
  void read_file(port::SoundFile file, size_t,
                 std::function<void(Result<std::string, port::SoundFailure>)> then) override {
    const auto found = files.find(file.name);
    if (found == files.end()) return then(Failure{port::SoundFailure::not_found});
    then(found->second);
  }
  Status<std::string> reload() override { return Done{}; }
  void drain(bool on) override { drains = on; }
  bool draining() const override { return drains; }
  std::optional<std::string> not_ready() const override {
    return drains ? std::optional<std::string>("draining") : std::nullopt;
  }
  std::string metrics_text() override { return "tandem_up 1\n"; }
  Figures figures() override { return figures_now; }
  std::string domain_of(const std::string& name) override {
    return name == "alias.example.com" ? "example.com" : name;
  }
  std::string digest_realm(const std::string& domain) override { return "realm of " + domain; }
  Figures figures_now;
  std::shared_ptr<const route::Plan> plan = route::Plan::empty();
  std::map<std::string, size_t> registered;  // contacts by user
  int plans = 0;
  bool drains = false;
  std::vector<port::AddressOfRecord> changed, mailboxes;
  std::vector<std::string> removed;
  std::map<std::string, std::string> files;  // by name
};

}  // namespace tandem::ops
