// The server's words in sentences for people. A word this version does not know is shown as it came.

import { words } from "./format.js";

const REASONS = {
  caller_pressed_zero: ["Pressed 0 for a person", "The caller pressed 0."],
  caller_asked: ["Asked for a person", "The caller asked for a person in words."],
  low_confidence: ["Assistant was unsure", "The assistant was unsure twice in a row."],
  engine_failed: ["Assistant failed", "Recognition, language model or voice failed."],
  distress: ["Caller in distress", "The caller is angry, or somebody may be in danger."],
  forbidden_topic: ["Topic kept for people", "The caller raised a topic that is kept for people."],
  silence: ["Caller stayed silent", "The caller said nothing, again and again."],
  agent_lost: ["Lost their agent", "The caller lost the person they were talking to and comes first."],
};

const OUTCOMES = {
  live: "On the line now",
  ended_with_assistant: "Ended with the assistant",
  spoke_with_agent: "Spoke with a person",
  left_message: "Left a message",
  callback_booked: "Callback booked",
  abandoned_in_queue: "Hung up while waiting",
  interrupted: "Interrupted",
  open: "Still open",
  bridged: "Spoke with a person",
  back_to_assistant: "Went back to the assistant",
  caller_hung_up: "Caller hung up",
};

const OFFER_RESULTS = {
  accepted: "Accepted",
  rejected: "Declined",
  timeout: "Not answered in time",
  rescinded: "Taken back",
  canceled: "Caller left",
};

const CALL_ENDS = {
  caller_hung_up: "The caller hung up.",
  agent_ended: "You ended the call.",
  agent_lost: "The connection was lost for too long. The caller went back to the front of the queue.",
  server_stopped: "The server stopped.",
};

const STATES = {
  offline: "Offline",
  available: "Available",
  reserved: "Incoming call",
  on_contact: "On a call",
  wrap_up: "Wrap-up",
  missed: "Missed call",
  break: "On break",
  error: "No sound",
};

const PROVIDERS = { browser: "Web call", twilio: "Phone, Twilio" };
const SPEAKERS = { caller: "Caller", assistant: "Assistant", agent: "Agent" };

const from = (table) => (word) => table[word] ?? words(word);

/** Short name of a handoff's reason. */
export const reasonTitle = (word) => REASONS[word]?.[0] ?? words(word);
/** A handoff's reason as a sentence. */
export const reasonSentence = (word) => REASONS[word]?.[1] ?? `${words(word)}.`;
export const outcome = from(OUTCOMES);
export const offerResult = from(OFFER_RESULTS);
export const callEnd = from(CALL_ENDS);
export const stateName = from(STATES);
export const providerName = from(PROVIDERS);
export const speaker = from(SPEAKERS);
