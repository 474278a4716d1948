//! The scenarios: calls to a server, well-behaved and otherwise, and what they show.
//!
//! ```text
//! handshake ─▶ credentials ─▶ before the start ─▶ a conversation to its end ─▶ a token once more ─▶ mischief
//! ```
//!
//! Each is a call of its own from a number of its own; one that fails leaves its rules untried.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::error::ProtocolError as WireError;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::rules::{Finding, Rule, Verdict};
use crate::audio::units::Millis;
use crate::cli::call::CallError;
use crate::cli::call::dialect::{Announced, announce};
use crate::cli::call::player::{CallPlayer, Dial, Event, Manners, Prank};
use crate::cli::explain;
use crate::telemetry::Secret;
use crate::telephony::packer::MAX_QUEUED;
use crate::telephony::protocol::Digit;
use crate::telephony::providers::find;

/// How long somebody who must not come in is watched, at least.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(3);
/// How long a server is watched that must say nothing.
const SILENCE: Duration = Duration::from_millis(800);
/// Between a prank and the question whether the call is still there.
const AFTERMATH: Duration = Duration::from_millis(250);
/// How long a pong may take, at least.
const PONG_PATIENCE: Duration = Duration::from_secs(2);
/// How long a clear may take once the caller speaks over the reply.
const CLEAR_PATIENCE: Duration = Duration::from_secs(3);
/// How long the server may take to close after the provider's stop, at least.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
/// How long a greeting may be.
const GREETING_PATIENCE: Duration = Duration::from_secs(20);
/// Silence that ends a reply.
const PAUSE: Duration = Duration::from_millis(500);
/// Silence that ends a greeting, which may be several sentences.
const GREETING_PAUSE: Duration = Duration::from_millis(1_500);
/// How much longer than for its answer a server is watched for speaking without being asked.
const UNASKED_MARGIN: Duration = Duration::from_secs(3);
/// Why an answer that is none proves nothing.
const UNASKED: &str = "it speaks as soon without being asked; --audio gives a question that is speech";
/// A frame each way and a tick may be on their way beside what a server may queue.
const SLACK: Duration = Duration::from_millis(100);
/// More text than any honest message has.
const OVERSIZED: usize = 70_000;

/// Whom to try, and what to ask.
#[derive(Debug)]
pub struct Subject {
    /// The call, as its provider makes it.
    pub dial: Dial,
    /// 16 kHz mono: something the server answers.
    pub question: Vec<i16>,
}

/// A second that a voice detector by loudness takes for speech.
pub fn tone() -> Vec<i16> {
    (0..16_000).map(|n| (5_000.0 * (f64::from(n) * std::f64::consts::TAU / 53.0).sin()) as i16).collect()
}

/// Tries all rules, and says of each what was found.
pub async fn play(subject: &Subject) -> Vec<Finding> {
    let mut trial = Trial { subject, callers: AtomicU32::new(0), findings: BTreeMap::new() };
    if trial.handshake().await {
        trial.credentials().await;
        trial.before_start().await;
        // Boxed, as it is far larger than the rest.
        Box::pin(trial.conversation()).await;
        trial.token_once_more().await;
        trial.mischief().await;
    }
    let Trial { mut findings, .. } = trial;
    for &rule in Rule::ALL {
        findings.entry(rule).or_insert_with(|| Finding::skipped(rule, "what comes before it failed"));
    }
    findings.into_values().collect()
}

struct Trial<'a> {
    subject: &'a Subject,
    callers: AtomicU32,
    findings: BTreeMap<Rule, Finding>,
}

impl Trial<'_> {
    /// A call from a number that has not called before: servers count.
    fn dial(&self) -> Dial {
        let caller = 5_550_100 + self.callers.fetch_add(1, Ordering::Relaxed);
        Dial { from: format!("+1500{caller}"), ..self.subject.dial.clone() }
    }

    /// What a well-behaved server does at once may take a fifth of what an answer may.
    fn at_least(&self, least: Duration) -> Duration {
        least.max(self.subject.dial.patience / 5)
    }

    /// The first word about a rule stands.
    fn note(&mut self, finding: Finding) {
        self.findings.entry(finding.rule).or_insert(finding);
    }

    fn has_marks(&self) -> bool {
        find(&self.subject.dial.provider).is_some_and(|spec| spec.marks)
    }

    /// The upgrade, with an extension on offer. False when no socket can be opened at all.
    async fn handshake(&mut self) -> bool {
        let mut announced = match announce(&self.dial()).await {
            Ok(announced) => announced,
            Err(error) => {
                self.note(Finding::broken(Rule::HandshakeAccepted, explain(&error)));
                return false;
            }
        };
        let offered = header(announced.request.headers(), "sec-websocket-protocol");
        let deflate = "permessage-deflate; client_max_window_bits".parse().expect("a header");
        announced.request.headers_mut().insert("sec-websocket-extensions", deflate);
        let connecting = connect_async_with_config(announced.request, None, true);
        let (mut socket, response) = match timeout(self.subject.dial.patience, connecting).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(SocketError::Protocol(WireError::SecWebSocketSubProtocolError(error)))) => {
                self.note(Finding::kept(Rule::HandshakeAccepted, ""));
                self.note(Finding::broken(Rule::HandshakeSubprotocol, error.to_string()));
                return false;
            }
            Ok(Err(error)) => {
                self.note(Finding::broken(Rule::HandshakeAccepted, explain(&error)));
                return false;
            }
            Err(_) => {
                self.note(Finding::broken(Rule::HandshakeAccepted, "no answer"));
                return false;
            }
        };
        self.note(Finding::kept(Rule::HandshakeAccepted, ""));
        let accepted = announced.dialect.accepts(&response);
        self.note(Finding::of(Rule::HandshakeHeaders, accepted.is_ok(), accepted.err().unwrap_or_default()));
        let chosen = header(response.headers(), "sec-websocket-protocol");
        let right = match (&offered, &chosen) {
            (None, None) => true,
            (Some(offered), Some(chosen)) => offered.split(',').any(|one| one.trim() == chosen),
            _ => false,
        };
        let told = |protocol: &Option<String>| protocol.clone().unwrap_or_else(|| "none".to_owned());
        let reason = format!("offered {}, got {}", told(&offered), told(&chosen));
        self.note(Finding::of(Rule::HandshakeSubprotocol, right, reason));
        let extension = header(response.headers(), "sec-websocket-extensions");
        self.note(Finding::of(Rule::HandshakeNoExtensions, extension.is_none(), extension.unwrap_or_default()));
        // An error means that the server was quicker.
        let _ = socket.close(None).await;
        true
    }

    /// Those who must stay outside: without credentials, and with wrong ones.
    async fn credentials(&mut self) {
        let secret = |text: &str| Secret::new(text.to_owned());
        let nobody = Dial { token: Some(secret("")), ..self.dial() };
        let finding = match announce(&nobody).await {
            Ok(mut announced) => {
                announced.request = stripped(announced.request);
                announced.afterwards = None;
                self.watch_refusal(Rule::CredentialMissing, announced, Manners::Good).await
            }
            Err(error) => Finding::skipped(Rule::CredentialMissing, explain(&error)),
        };
        self.note(finding);
        let liar = Dial { token: Some(secret("no-such-token")), auth_token: secret("wrong:wrong"), ..self.dial() };
        let finding = match announce(&liar).await {
            Ok(announced) => {
                let announced = Announced { afterwards: None, ..announced };
                self.watch_refusal(Rule::CredentialWrong, announced, Manners::Good).await
            }
            Err(error) => Finding::skipped(Rule::CredentialWrong, explain(&error)),
        };
        self.note(finding);
    }

    /// A socket that opens and keeps quiet, then speaks out of turn, then starts.
    async fn before_start(&mut self) {
        let mut player = match self.open(Manners::Mute).await {
            Ok(player) => player,
            Err(error) => return self.note(Finding::broken(Rule::StartSilence, explain(&error))),
        };
        let waited = player.wait(SILENCE).await;
        let (messages, finding) = (player.messages(), Rule::StartSilence);
        self.note(match waited {
            Ok(()) => Finding::of(finding, messages == 0, format!("{messages} messages in {} ms", SILENCE.as_millis())),
            Err(error) => Finding::broken(finding, explain(&error)),
        });
        let pong = self.at_least(PONG_PATIENCE);
        let early = async {
            player.prank(Prank::Reordered).await?;
            player.prank(Prank::Hello).await?;
            player.wait(AFTERMATH).await?;
            player.ping(pong).await
        };
        let outcome = early.await;
        self.note(survived(Rule::StartEarlyMedia, outcome));
        player.hangup().await;
    }

    /// A call as it should be: greeting, key, question, interruption, end.
    async fn conversation(&mut self) {
        let mut player = match self.open(Manners::Good).await {
            Ok(player) => player,
            Err(error) => return self.note(Finding::broken(Rule::AudioFirst, explain(&error))),
        };
        let outcome = self.converse(&mut player).await;
        let (heard, queued) = (player.messages(), player.longest_queue());
        let events = player.events(0);
        let faults: Vec<_> = events
            .iter()
            .filter_map(|timed| match &timed.event {
                Event::Misunderstood { what } => Some(what.as_str()),
                _ => None,
            })
            .collect();
        let reason = match faults.first() {
            Some(first) => format!("{} of {heard} messages, the first: {first}", faults.len()),
            None => format!("{heard} messages"),
        };
        self.note(match heard {
            0 => Finding::skipped(Rule::AudioWellFormed, "nothing came"),
            _ => Finding::of(Rule::AudioWellFormed, faults.is_empty(), reason),
        });
        self.note(match queued {
            Millis::ZERO => Finding::skipped(Rule::AudioPaced, "nothing was heard"),
            _ => Finding::of(Rule::AudioPaced, queued.duration() <= MAX_QUEUED + SLACK, format!("{queued} at most")),
        });
        if let Err(error) = outcome {
            let told = explain(&error);
            self.note(Finding::broken(Rule::AudioFirst, told.clone()));
            self.note(Finding::broken(Rule::StopCloses, format!("the call ended before its end: {told}")));
            return;
        }
        self.finish(player).await;
    }

    async fn converse(&mut self, player: &mut CallPlayer) -> Result<(), CallError> {
        let patience = self.subject.dial.patience;
        let greeted = wait_voice(player, patience / 2).await?;
        if let Some(at) = greeted {
            self.note(Finding::kept(Rule::AudioFirst, format!("after {at} ms")));
            // A greeting without end is no reason not to speak.
            unless_over(player.wait_reply_end(GREETING_PAUSE, GREETING_PATIENCE).await)?;
        }
        let pong = self.at_least(PONG_PATIENCE);
        let key = async {
            player.dtmf(Digit::new('5').expect("a key")).await?;
            player.wait(AFTERMATH).await?;
            player.ping(pong).await
        };
        let outcome = key.await;
        let has_keys = find(&self.subject.dial.provider).is_some_and(|spec| spec.dtmf);
        let over = matches!(outcome, Err(CallError::Over { .. }));
        self.note(match has_keys {
            true => survived(Rule::DtmfAccepted, outcome),
            false => Finding::skipped(Rule::DtmfAccepted, "the dialect has no keys"),
        });
        if over {
            return player.wait(AFTERMATH).await;
        }

        player.play("question", &self.subject.question).await?;
        let answered = unless_over(player.wait_reply_start(patience).await)?;
        match answered {
            Some(after) => {
                self.note(Finding::kept(Rule::AudioFirst, "once the caller had spoken"));
                let interrupted = self.interrupt(player, after).await;
                self.note(match interrupted {
                    Ok(false) => Finding::skipped(Rule::AudioAnswer, UNASKED),
                    _ => Finding::kept(Rule::AudioAnswer, format!("after {} ms", after.as_millis())),
                });
                interrupted?;
            }
            None if greeted.is_some() => {
                let reason = "nothing answered; --audio gives a question that is speech";
                for rule in [Rule::AudioAnswer, Rule::BargeInClear, Rule::BargeInSilence] {
                    self.note(Finding::skipped(rule, reason));
                }
            }
            None => {
                self.note(Finding::broken(Rule::AudioFirst, format!("nothing in {} s", patience.as_secs())));
                self.note(Finding::broken(Rule::AudioAnswer, format!("nothing in {} s", patience.as_secs())));
            }
        }
        self.marks(player).await
    }

    /// The caller speaks over the reply, which took so long to begin. False when the server would have spoken anyway, so that
    /// nothing shows that it hears the caller.
    async fn interrupt(&mut self, player: &mut CallPlayer, answered: Duration) -> Result<bool, CallError> {
        let has_clear = find(&self.subject.dial.provider).is_some_and(|spec| spec.clear);
        let mut overlap = self.speak_over(player).await?;
        if has_clear && overlap.cleared.is_none() && overlap.went_on {
            if speaks_unasked(player, answered + UNASKED_MARGIN).await? {
                self.note(Finding::skipped(Rule::BargeInClear, UNASKED));
                self.note(Finding::skipped(Rule::BargeInSilence, UNASKED));
                return Ok(false);
            }
            // Some of what a server says has to be heard: the next reply decides.
            player.play("question", &self.subject.question).await?;
            if unless_over(player.wait_reply_start(self.subject.dial.patience).await)?.is_some() {
                overlap = self.speak_over(player).await?;
            }
        }
        let Overlap { cleared, went_on, watched, silent } = overlap;
        self.note(match (has_clear, cleared) {
            (false, _) => Finding::skipped(Rule::BargeInClear, "the dialect has no such message"),
            (true, Some(after)) => Finding::kept(Rule::BargeInClear, format!("after {} ms", after.as_millis())),
            (true, None) if went_on => {
                Finding::broken(Rule::BargeInClear, format!("not in {} ms", CLEAR_PATIENCE.as_millis()))
            }
            (true, None) => Finding::skipped(Rule::BargeInClear, "the reply was over by itself"),
        });
        self.note(Finding::of(Rule::BargeInSilence, silent, format!("after {} ms", watched.as_millis())));
        Ok(true)
    }

    /// Speaks over what is being said, and lets it and what answers it come to its end.
    async fn speak_over(&mut self, player: &mut CallPlayer) -> Result<Overlap, CallError> {
        let since = player.events(0).len();
        player.begin("interruption", &self.subject.question).await?;
        let spoke = Instant::now();
        let cleared = unless_over(player.wait_event(since, CLEAR_PATIENCE, |event| *event == Event::Cleared).await)?;
        let cleared = cleared.map(|_| spoke.elapsed());
        let went_on = player.is_hearing(Millis(100));
        let deadline = Instant::now() + CLEAR_PATIENCE;
        while player.is_hearing(Millis(100)) && Instant::now() < deadline {
            player.wait(Duration::from_millis(20)).await?;
        }
        let (watched, silent) = (spoke.elapsed(), !player.is_hearing(Millis(100)));
        unless_over(player.wait_reply_end(PAUSE, GREETING_PATIENCE).await)?;
        Ok(Overlap { cleared, went_on, watched, silent })
    }

    /// Marks that came back already, and marks nobody sent.
    async fn marks(&mut self, player: &mut CallPlayer) -> Result<(), CallError> {
        if !self.has_marks() {
            self.note(Finding::skipped(Rule::MarkUnknown, "the dialect has no marks"));
            self.note(Finding::skipped(Rule::MarkStale, "the dialect has no marks"));
            return Ok(());
        }
        let last = player.events(0).into_iter().rev().find_map(|timed| match timed.event {
            Event::MarkReturned { name, .. } => Some(name),
            _ => None,
        });
        let Some(last) = last else {
            self.note(Finding::skipped(Rule::MarkUnknown, "the server sends no marks"));
            self.note(Finding::skipped(Rule::MarkStale, "the server sends no marks"));
            return Ok(());
        };
        let unknown = last.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned() + "987654321";
        for (rule, name) in [(Rule::MarkStale, last), (Rule::MarkUnknown, unknown)] {
            player.prank(Prank::Mark(name)).await?;
            player.wait(AFTERMATH).await?;
            let answered = player.ping(self.at_least(PONG_PATIENCE)).await;
            self.note(survived(rule, answered));
        }
        Ok(())
    }

    /// The provider says that the call is over; what closes the socket is the server.
    async fn finish(&mut self, mut player: CallPlayer) {
        let said = player.say_goodbye().await;
        let began = Instant::now();
        let ended = match said {
            Ok(true) => player.wait_end(self.at_least(CLOSE_PATIENCE)).await.ok(),
            // The dialect's only word is the close itself, which has to be answered.
            Ok(false) => {
                let (events, _) = player.hangup().await;
                events.into_iter().rev().find(|timed| matches!(timed.event, Event::Ended { .. }))
            }
            Err(error) => return self.note(Finding::broken(Rule::StopCloses, explain(&error))),
        };
        let took = began.elapsed().as_millis();
        let Some(Event::Ended { by, code, .. }) = ended.map(|timed| timed.event) else {
            return self.note(Finding::broken(Rule::StopCloses, format!("still open after {took} ms")));
        };
        let closed = match by {
            "server" => true,
            "caller" => code.is_some(),
            _ => false,
        };
        self.note(Finding::of(Rule::StopCloses, closed, format!("after {took} ms")));
        let told = code.map_or("none".to_owned(), |code| code.to_string());
        self.note(match closed {
            // 1005 is how a close without a code reads.
            true => Finding::of(Rule::StopCode, matches!(code, None | Some(1_000 | 1_005)), told),
            false => Finding::skipped(Rule::StopCode, "no close came"),
        });
    }

    /// A stream that uses the token of another one.
    async fn token_once_more(&mut self) {
        let rule = Rule::CredentialUsed;
        if self.subject.dial.token.is_some() || self.subject.dial.socket.is_some() {
            return self.note(Finding::skipped(rule, "tokens come from the webhook, which is not asked"));
        }
        let dial = self.dial();
        let (first, second) = match (announce(&dial).await, announce(&dial).await) {
            (Ok(first), Ok(second)) => (first, second),
            (Err(error), _) | (_, Err(error)) => return self.note(Finding::skipped(rule, explain(&error))),
        };
        let Announced { request, mut dialect, .. } = first;
        let hello = dialect.hello();
        if !brings_token(&request, &hello) {
            return self.note(Finding::skipped(rule, "the call brings no single-use token"));
        }
        let again = Announced { request: request.clone(), dialect: second.dialect, afterwards: None };
        let first = Announced { request, dialect, afterwards: None };
        match CallPlayer::open(first, dial.patience, Manners::Instead(hello.clone())).await {
            Ok(mut player) => {
                // An end means that the first stream is refused already, which others rules tell.
                let _ = player.wait(AFTERMATH).await;
                player.hangup().await;
            }
            Err(error) => return self.note(Finding::skipped(rule, explain(&error))),
        }
        let finding = self.watch_refusal(rule, again, Manners::Instead(hello)).await;
        self.note(finding);
    }

    /// One bad message after another, each of which the call survives.
    async fn mischief(&mut self) {
        let text = |text: &str| Prank::Raw(vec![Message::text(text)]);
        let padding = "x".repeat(OVERSIZED);
        let pranks = [
            (Rule::RobustMalformed, text(r#"{"event":"#)),
            (Rule::RobustUnknown, text(r#"{"event":"no-such-event","type":"no-such-type"}"#)),
            (Rule::RobustEmpty, text("")),
            (Rule::RobustOversized, text(&format!(r#"{{"event":"no-such-event","padding":"{padding}"}}"#))),
            (Rule::RobustBinary, Prank::Raw(vec![Message::binary(vec![1, 2, 3])])),
            (Rule::RobustDuplicateStart, Prank::Hello),
            (Rule::RobustReordered, Prank::Reordered),
        ];
        let pong = self.at_least(PONG_PATIENCE);
        let mut player = None;
        for (rule, prank) in pranks {
            let mut call = match player.take() {
                Some(call) => call,
                None => match self.open(Manners::Good).await {
                    Ok(call) => call,
                    Err(error) => {
                        self.note(Finding::skipped(rule, format!("no call to try it on: {}", explain(&error))));
                        continue;
                    }
                },
            };
            let tried = async {
                call.wait(AFTERMATH).await?;
                call.prank(prank).await?;
                call.wait(AFTERMATH).await?;
                call.ping(pong).await
            };
            let finding = survived(rule, tried.await);
            player = (finding.verdict == Verdict::Kept).then_some(call);
            self.note(finding);
        }
        if let Some(call) = player {
            call.hangup().await;
        }
    }

    async fn open(&self, manners: Manners) -> Result<CallPlayer, CallError> {
        let dial = self.dial();
        let announced = announce(&dial).await?;
        CallPlayer::open(Announced { afterwards: None, ..announced }, dial.patience, manners).await
    }

    /// Whether somebody is turned away: by the answer to the upgrade, or by a close before anything is heard.
    async fn watch_refusal(&self, rule: Rule, announced: Announced, manners: Manners) -> Finding {
        let patience = self.at_least(REFUSAL_PATIENCE);
        let mut player = match CallPlayer::open(announced, patience, manners).await {
            Ok(player) => player,
            Err(CallError::Socket { source, .. }) => {
                return match &*source {
                    SocketError::Http(response) => Finding::kept(rule, format!("HTTP {}", response.status().as_u16())),
                    other => Finding::skipped(rule, explain(other)),
                };
            }
            Err(error) => return Finding::skipped(rule, explain(&error)),
        };
        let over = |event: &Event| matches!(event, Event::Ended { .. } | Event::FirstAudio | Event::Started);
        let seen = player.wait_event(0, patience, over).await;
        let finding = match seen.map(|timed| timed.event) {
            Ok(Event::Ended { code, .. }) => {
                let code = code.map_or("no code".to_owned(), |code| code.to_string());
                Finding::kept(rule, format!("closed with {code}"))
            }
            Ok(_) => Finding::broken(rule, "the call begins"),
            Err(_) => Finding::broken(rule, format!("the socket stays open for {} s", patience.as_secs())),
        };
        player.hangup().await;
        finding
    }
}

/// What became of a reply that the caller spoke over.
struct Overlap {
    /// When it was cleared.
    cleared: Option<Duration>,
    /// It could still be heard when the time for that was over, or when it was cleared.
    went_on: bool,
    /// How long it was listened to.
    watched: Duration,
    /// It was silent in the end.
    silent: bool,
}

/// Whether the server begins to speak though nobody asks it anything.
async fn speaks_unasked(player: &mut CallPlayer, patience: Duration) -> Result<bool, CallError> {
    let since = player.events(0).len();
    let spoke = player.wait_event(since, patience, |event| *event == Event::ReplyStarted).await;
    let spoke = unless_over(spoke)?.is_some();
    if spoke {
        unless_over(player.wait_reply_end(PAUSE, GREETING_PATIENCE).await)?;
    }
    Ok(spoke)
}

/// Waits for voice, or for silence that took too long.
async fn wait_voice(player: &mut CallPlayer, patience: Duration) -> Result<Option<u64>, CallError> {
    let heard = player.wait_event(0, patience, |event| *event == Event::ReplyStarted).await;
    Ok(unless_over(heard)?.map(|timed| timed.at_ms))
}

/// What did not happen is no error, unless the call is over.
fn unless_over<T>(result: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(CallError::Timeout { .. } | CallError::NoReply { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn survived(rule: Rule, outcome: Result<(), CallError>) -> Finding {
    match outcome {
        Ok(()) => Finding::kept(rule, ""),
        Err(error) => Finding::broken(rule, explain(&error)),
    }
}

fn header(headers: &tokio_tungstenite::tungstenite::http::HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The request with nothing in it that could prove anything.
fn stripped(mut request: Request) -> Request {
    let bare = ["host", "connection", "upgrade"];
    let names: Vec<_> = request.headers().keys().cloned().collect();
    for name in names.iter().filter(|name| !bare.contains(&name.as_str())) {
        if !name.as_str().starts_with("sec-websocket-") {
            request.headers_mut().remove(name);
        }
    }
    request
}

/// Whether a token that was issued for this call stands in its request or its first messages.
fn brings_token(request: &Request, hello: &[Message]) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let in_query = form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "token" && !value.is_empty());
    // Some hand parameters over as JSON within a string.
    let in_text = |message: &Message| {
        let text = message.to_text().unwrap_or_default().replace('\\', "");
        text.contains(r#""token":""#) && !text.contains(r#""token":"""#)
    };
    in_query || hello.iter().any(in_text)
}
