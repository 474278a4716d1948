// The server's types by name, as `openapi.json` has them.

import type { components } from "./schema";

type Schemas = components["schemas"];

export type AgentDay = Schemas["AgentDay"];
export type AgentState = Schemas["AgentState"];
export type BrowserCall = Schemas["BrowserCall"];
export type Brief = Schemas["Brief"];
export type CallDetail = Schemas["CallDetail"];
export type CallEnd = Schemas["CallEnd"];
export type CallOutcome = Schemas["CallOutcome"];
export type CallRecord = Schemas["CallRecord"];
export type CommentRecord = Schemas["CommentRecord"];
export type FromAgent = Schemas["FromAgent"];
export type HandoffOutcome = Schemas["HandoffOutcome"];
export type HandoffReason = Schemas["HandoffReason"];
export type HandoffRecord = Schemas["HandoffRecord"];
export type KnowledgeEntry = Schemas["KnowledgeEntry"];
export type KnowledgeHits = Schemas["KnowledgeHits"];
export type LiveAgent = Schemas["LiveAgent"];
export type LiveCall = Schemas["LiveCall"];
export type LiveDesk = Schemas["LiveDesk"];
export type Line = Schemas["Line"];
export type Me = Schemas["Me"];
export type MessageRecord = Schemas["MessageRecord"];
export type Offer = Schemas["Offer"];
export type OfferRecord = Schemas["OfferRecord"];
export type OfferResult = Schemas["OfferResult"];
export type RevealField = Schemas["Field"];
export type Rubric = Schemas["Rubric"];
export type ScoreRecord = Schemas["ScoreRecord"];
export type Speaker = Schemas["Speaker"];
export type Status = Schemas["Status"];
export type Supervision = Schemas["Supervision"];
export type ToAgent = Schemas["ToAgent"];
export type ToolRunRecord = Schemas["ToolRunRecord"];
export type TriggerRecord = Schemas["TriggerRecord"];
export type TurnRecord = Schemas["TurnRecord"];
export type TurnTimings = Schemas["TurnTimings"];
export type User = Schemas["User"];
export type UserRole = Schemas["UserRole"];
export type WrapUpRecord = Schemas["WrapUpRecord"];
