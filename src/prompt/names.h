#pragma once
// The prompts that are whole sentences, by name: what an announcement asks the library for. Their words stand
// in sounds/LANGUAGE.txt; a test holds the two together. What is put together from parts is in phrase.h.
#include <string_view>

namespace tandem::prompt {

// Entering things
inline constexpr std::string_view enter_pin = "enter-pin";
inline constexpr std::string_view enter_moderator_pin = "enter-moderator-pin";
inline constexpr std::string_view enter_mailbox = "enter-mailbox";
inline constexpr std::string_view enter_extension = "enter-extension";
inline constexpr std::string_view enter_room = "enter-room";
inline constexpr std::string_view invalid = "invalid";
inline constexpr std::string_view invalid_pin = "invalid-pin";
inline constexpr std::string_view try_again = "try-again";
inline constexpr std::string_view too_many_tries = "too-many-tries";
inline constexpr std::string_view nothing_entered = "nothing-entered";
inline constexpr std::string_view not_now = "not-now";
inline constexpr std::string_view thank_you = "thank-you";
inline constexpr std::string_view goodbye = "goodbye";

// An auto-attendant
inline constexpr std::string_view welcome = "welcome";
inline constexpr std::string_view closed = "closed";
inline constexpr std::string_view please_hold = "please-hold";
inline constexpr std::string_view transferring = "transferring";
inline constexpr std::string_view choice_operator = "choice-operator";
inline constexpr std::string_view choice_repeat = "choice-repeat";
inline constexpr std::string_view choice_extension = "choice-extension";
inline constexpr std::string_view choice_voicemail = "choice-voicemail";
inline constexpr std::string_view choice_back = "choice-back";

// Calls that do not get through
inline constexpr std::string_view not_available = "not-available";
inline constexpr std::string_view line_busy = "line-busy";
inline constexpr std::string_view number_unknown = "number-unknown";
inline constexpr std::string_view not_permitted = "not-permitted";
inline constexpr std::string_view lines_full = "lines-full";
inline constexpr std::string_view call_failed = "call-failed";

// Call features
inline constexpr std::string_view feature_on = "feature-on";
inline constexpr std::string_view feature_off = "feature-off";
inline constexpr std::string_view dnd_on = "dnd-on";
inline constexpr std::string_view dnd_off = "dnd-off";
inline constexpr std::string_view forward_on = "forward-on";
inline constexpr std::string_view forward_off = "forward-off";
inline constexpr std::string_view parked_at = "parked-at";
inline constexpr std::string_view recorded = "recorded";
inline constexpr std::string_view recording_started = "recording-started";
inline constexpr std::string_view recording_paused = "recording-paused";
inline constexpr std::string_view recording_stopped = "recording-stopped";

// Leaving a message
inline constexpr std::string_view leave_message = "leave-message";
inline constexpr std::string_view message_saved = "message-saved";
inline constexpr std::string_view message_too_short = "message-too-short";
inline constexpr std::string_view mailbox_full = "mailbox-full";
inline constexpr std::string_view mailbox_away = "mailbox-away";

// Listening to messages
inline constexpr std::string_view no_messages = "no-messages";
inline constexpr std::string_view no_more_messages = "no-more-messages";
inline constexpr std::string_view first_message = "first-message";
inline constexpr std::string_view next_message = "next-message";
inline constexpr std::string_view message_deleted = "message-deleted";
inline constexpr std::string_view message_kept = "message-kept";
inline constexpr std::string_view unknown_caller = "unknown-caller";
inline constexpr std::string_view choice_new = "choice-new";
inline constexpr std::string_view choice_old = "choice-old";
inline constexpr std::string_view choice_play_again = "choice-play-again";
inline constexpr std::string_view choice_delete = "choice-delete";
inline constexpr std::string_view choice_keep = "choice-keep";
inline constexpr std::string_view choice_next = "choice-next";
inline constexpr std::string_view choice_previous = "choice-previous";
inline constexpr std::string_view choice_call_back = "choice-call-back";
inline constexpr std::string_view choice_greeting = "choice-greeting";
inline constexpr std::string_view choice_pin = "choice-pin";
inline constexpr std::string_view choice_exit = "choice-exit";
inline constexpr std::string_view record_greeting = "record-greeting";
inline constexpr std::string_view your_greeting = "your-greeting";
inline constexpr std::string_view greeting_saved = "greeting-saved";
inline constexpr std::string_view choice_accept = "choice-accept";
inline constexpr std::string_view choice_record_again = "choice-record-again";
inline constexpr std::string_view choice_default_greeting = "choice-default-greeting";
inline constexpr std::string_view choice_hear_greeting = "choice-hear-greeting";
inline constexpr std::string_view choice_record_greeting = "choice-record-greeting";
inline constexpr std::string_view greeting_standard = "greeting-standard";
inline constexpr std::string_view enter_new_pin = "enter-new-pin";
inline constexpr std::string_view enter_new_pin_again = "enter-new-pin-again";
inline constexpr std::string_view pins_differ = "pins-differ";
inline constexpr std::string_view pin_changed = "pin-changed";
inline constexpr std::string_view pin_too_short = "pin-too-short";

// Conferences
inline constexpr std::string_view conference_welcome = "conference-welcome";
inline constexpr std::string_view conference_only = "conference-only";
inline constexpr std::string_view conference_full = "conference-full";
inline constexpr std::string_view conference_locked = "conference-locked";
inline constexpr std::string_view conference_unlocked = "conference-unlocked";
inline constexpr std::string_view conference_now_locked = "conference-now-locked";
inline constexpr std::string_view conference_ended = "conference-ended";
inline constexpr std::string_view conference_wait = "conference-wait";
inline constexpr std::string_view conference_unknown = "conference-unknown";
inline constexpr std::string_view conference_lecture_on = "conference-lecture-on";
inline constexpr std::string_view conference_lecture_off = "conference-lecture-off";
inline constexpr std::string_view conference_removed = "conference-removed";
inline constexpr std::string_view joined = "joined";
inline constexpr std::string_view left = "left";
inline constexpr std::string_view a_participant_joined = "a-participant-joined";
inline constexpr std::string_view a_participant_left = "a-participant-left";
inline constexpr std::string_view muted = "muted";
inline constexpr std::string_view unmuted = "unmuted";

}  // namespace tandem::prompt
