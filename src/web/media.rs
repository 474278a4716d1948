//! `/media/{provider}`: the one driver of every provider's websocket.
//!
//! ```text
//!            ┌──────────── frames (media: dropped when full, counted) ──▶
//!  socket ──▶│ protocol ── events (control: waits, bounded)           ──▶ the call's actor
//!         ◀──│          ◀─ commands (audio, marks, clear, hang-up)    ◀──
//!            └─ deadlines, keep-alive, cancel
//! ```
//!
//! One loop feeds the protocol one input at a time and drains it. Reading waits neither for writing nor for the call:
//! providers drop what the caller says when we read slowly. Commands wait while the socket takes no more, and a socket
//! that takes nothing for [`WRITE_PATIENCE`] is given up. Not here: what a call does (`call/`), what a message means
//! (`telephony/`).

mod departing;
mod leg;
mod outbox;

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::{Sink, SinkExt, Stream, StreamExt};
use metrics::counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, error, info, info_span, warn};

use self::departing::Departure;
use self::leg::{Inbound, Leg};
use self::outbox::Outbox;
use super::gate::{Gate, unix_s};
use super::moving::{ACCOUNT, Moved, Mover};
use super::tokens::StreamGrant;
use super::webhooks::outcomes::StreamOutcome;
use crate::alarm::Alarm;
use crate::audio::resample::Resampler;
use crate::audio::units::SampleRate;
use crate::call::CallId;
use crate::call::handle::{AdmitError, CallOpener, INBOUND_FRAMES, LEG_COMMANDS, LEG_EVENTS, LegIo};
use crate::telemetry::{Secret, metric};
use crate::telephony::handshake::{Arrival, Handshake, LetIn, Opening, Refusal};
use crate::telephony::protocol::{
    CloseReason, MediaCommand, MediaEvent, MediaProtocol, Output, ProtocolError, StopReason, StreamStart, Verdict,
    WsMessage,
};
use crate::telephony::providers::{PROVIDERS, ProviderSpec};

/// Larger messages end the socket; protocols skip from 64 KiB on.
const MAX_MESSAGE: usize = 256 * 1024;
/// Room for a dozen frames; the library's 128 KiB would be most of a call's memory, and is zeroed for each read.
pub(crate) const READ_BUFFER: usize = 8 * 1024;
/// Sockets that have not been let in yet, all providers together. One more is turned away.
const MAX_WAITING: usize = 256;
/// Messages waiting for the socket before commands have to wait, too.
const OUTBOX: usize = 8;
/// A socket that takes nothing for so long is lost.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// An actor that takes no event for so long is lost.
const EVENT_PATIENCE: Duration = Duration::from_secs(2);
/// A peer silent for so long is pinged…
const PING_AFTER: Duration = Duration::from_secs(15);
/// …and for so long is lost.
const LOST_AFTER: Duration = Duration::from_secs(45);
/// How long the goodbye of a socket may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);
/// Bad messages are counted one by one but logged at most so often.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// What media sockets need of the rest of the server.
#[derive(Clone)]
pub struct MediaState {
    gate: Arc<Gate>,
    opener: Arc<dyn CallOpener>,
    mover: Option<Arc<dyn Mover>>,
    tracker: TaskTracker,
    cancel: CancellationToken,
    waiting: Arc<Semaphore>,
}

impl MediaState {
    /// `gate` lets streams in and remembers how they ended, `opener` starts their calls. Every socket runs under
    /// `tracker`; `cancel` hangs up all of them and is meant for the very end of a shutdown, after calls said goodbye.
    pub fn new(gate: Arc<Gate>, opener: Arc<dyn CallOpener>, tracker: TaskTracker, cancel: CancellationToken) -> Self {
        Self { gate, opener, mover: None, tracker, cancel, waiting: Arc::new(Semaphore::new(MAX_WAITING)) }
    }

    /// Callers who go to somebody else are moved by their providers' APIs, where there are any.
    pub fn with_mover(mut self, mover: Arc<dyn Mover>) -> Self {
        self.mover = Some(mover);
        self
    }
}

/// Two routes for each provider of the table: its path, and its path with a tail.
pub fn routes(state: MediaState) -> Router {
    let route = |router: Router<MediaState>, spec: &'static ProviderSpec| {
        let handler = move |State(state): State<MediaState>,
                            uri: Uri,
                            headers: HeaderMap,
                            extensions: Extensions,
                            upgrade: WebSocketUpgrade| {
            let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
            accept(spec, state, handshake(spec, &uri, &headers, peer), upgrade)
        };
        router.route(spec.path, get(handler)).route(&format!("{}/{{*tail}}", spec.path), get(handler))
    };
    PROVIDERS.iter().fold(Router::new(), route).with_state(state)
}

/// The request as rows and dialects look at it.
fn handshake(spec: &ProviderSpec, uri: &Uri, headers: &HeaderMap, peer: Option<SocketAddr>) -> Handshake {
    let target = uri.path_and_query().map_or(spec.path, |target| target.as_str());
    let mut handshake = Handshake::to(spec.path, target);
    for (name, value) in headers {
        handshake.add_header(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
    }
    handshake.remote = peer.map(|peer| peer.ip().to_canonical());
    handshake
}

/// Answers the upgrade, or refuses it. A subprotocol is echoed only if the row knows it, and never an extension: some
/// providers break off when offered one back.
async fn accept(
    spec: &'static ProviderSpec,
    state: MediaState,
    handshake: Handshake,
    upgrade: WebSocketUpgrade,
) -> Response {
    let gate = &state.gate;
    let arrival = Arrival {
        handshake: &handshake,
        settings: &gate.providers,
        base_url: &gate.base_url,
        now: now(),
        unix_s: unix_s(),
        replays: &gate.replays,
    };
    let let_in = match (spec.check)(&arrival) {
        Ok(let_in) => let_in,
        Err(refusal) => return refuse(spec, gate, refusal),
    };
    let Ok(permit) = state.waiting.clone().try_acquire_owned() else {
        counter!(metric::CALLS_REFUSED, "provider" => spec.name, "reason" => "sockets").increment(1);
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let upgrade = upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE).read_buffer_size(READ_BUFFER);
    upgrade.protocols(spec.subprotocols.iter().copied()).on_upgrade(move |socket: WebSocket| {
        let span = info_span!("media", provider = spec.name);
        let tracker = state.tracker.clone();
        let door = Door { handshake, let_in, permit };
        tracker.track_future(drive(spec, socket, state, door).instrument(span))
    })
}

/// Says no before there is a socket.
fn refuse(spec: &'static ProviderSpec, gate: &Gate, refusal: Refusal) -> Response {
    counter!(metric::CALLS_REFUSED, "provider" => spec.name, "reason" => refusal.label()).increment(1);
    debug!(reason = refusal.label(), "Media socket refused: {}", refusal.label());
    match refusal {
        Refusal::Missing => {
            let challenge = HeaderValue::from_static("Basic realm=\"warmline\", charset=\"UTF-8\"");
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
        }
        Refusal::Wrong(_) => StatusCode::FORBIDDEN.into_response(),
        Refusal::Unconfigured(key) => {
            if gate.first_warning(key) {
                warn!("{}'s sockets are refused: `{key}` is not set, so they can't be checked", spec.title);
            }
            StatusCode::FORBIDDEN.into_response()
        }
    }
}

/// How a socket came in.
struct Door {
    handshake: Handshake,
    let_in: LetIn,
    /// Held until the stream is let in or turned away.
    permit: OwnedSemaphorePermit,
}

/// Runs one socket from upgrade to close.
async fn drive<S, E>(spec: &'static ProviderSpec, socket: S, state: MediaState, door: Door)
where
    S: Stream<Item = Result<Message, E>> + Sink<Message, Error = E> + Unpin,
    E: Display,
{
    let (mut sink, mut stream) = socket.split();
    let cancel = state.cancel.clone();
    let cancelled = cancel.cancelled();
    tokio::pin!(cancelled);
    let mut driver = Driver::new(spec, state, door);
    let mut alarm = Alarm::at(driver.deadline().into());
    while !driver.closed {
        let deadline = driver.deadline();
        tokio::select! {
            message = stream.next() => match message {
                Some(Ok(message)) => driver.received(message).await,
                Some(Err(error)) => {
                    debug!(%error, "Socket broke: {error}");
                    driver.lost().await;
                }
                None => driver.lost().await,
            },
            written = driver.outbox.pump(&mut sink), if !driver.outbox.is_idle() => if let Err(error) = written {
                debug!(%error, "Socket broke: {error}");
                driver.lost().await;
            },
            command = next_command(&mut driver.leg), if driver.outbox.has_room() => driver.command(command).await,
            moved = departing::answered(&mut driver.departure) => driver.departed(moved).await,
            () = alarm.rings(deadline.into()) => driver.time_passed().await,
            // Once: some dialects say goodbye first and wait for the answer.
            () = &mut cancelled, if !driver.cancelled => {
                driver.cancelled = true;
                driver.command(Some(MediaCommand::Hangup)).await;
            }
        }
    }
    driver.finish().await;
    // The goodbye: what is queued, the close frame among it, then the peer's own close.
    let goodbye = async {
        driver.outbox.pump(&mut sink).await?;
        while stream.next().await.transpose()?.is_some() {}
        sink.close().await
    };
    let _ = timeout(CLOSE_PATIENCE, goodbye).await;
}

async fn next_command(leg: &mut Option<Leg>) -> Option<MediaCommand> {
    match leg {
        Some(leg) => leg.commands.recv().await,
        None => std::future::pending().await,
    }
}

/// tokio's clock, so that tests can stop it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// One socket's protocol, its call if it has one yet, and what waits to be written.
struct Driver {
    spec: &'static ProviderSpec,
    state: MediaState,
    protocol: Box<dyn MediaProtocol>,
    outbox: Outbox,
    leg: Option<Leg>,
    /// The caller is on the way to somebody else.
    departure: Option<Departure>,
    let_in: LetIn,
    /// A token in the handshake, for dialects whose start has no place for one.
    token: Option<Secret<String>>,
    /// Held until the stream is let in or turned away.
    permit: Option<OwnedSemaphorePermit>,
    heard_at: Instant,
    pinged: bool,
    closed: bool,
    /// Everything is hung up.
    cancelled: bool,
    skipped: Skipped,
}

impl Driver {
    fn new(spec: &'static ProviderSpec, state: MediaState, door: Door) -> Self {
        let Door { handshake, let_in, permit } = door;
        let opening = Opening { now: now(), handshake: &handshake, settings: &state.gate.providers };
        let protocol = (spec.open)(&opening);
        // The tail of a path is a token only where nothing else would let the stream in.
        let tail = Some(handshake.tail.expose().as_str()).filter(|_| let_in == LetIn::ByToken);
        let token = handshake.parameter("token").or(tail).filter(|token| !token.is_empty());
        Self {
            spec,
            protocol,
            outbox: Outbox::default(),
            leg: None,
            departure: None,
            let_in,
            token: token.map(|token| Secret::new(token.to_owned())),
            permit: Some(permit),
            heard_at: now(),
            pinged: false,
            closed: false,
            cancelled: false,
            skipped: Skipped::default(),
            state,
        }
    }

    async fn received(&mut self, message: Message) {
        (self.heard_at, self.pinged) = (now(), false);
        let message = match message {
            Message::Text(text) => WsMessage::Text(text.as_str().to_owned()),
            Message::Binary(bytes) => WsMessage::Binary(bytes.into()),
            Message::Close(_) => return self.lost().await,
            // The library answers pings by itself.
            Message::Ping(_) | Message::Pong(_) => return,
        };
        let result = self.protocol.handle_message(now(), message);
        self.settle(result).await;
    }

    /// The socket is gone: the protocol says what that means, nothing can be written any more.
    async fn lost(&mut self) {
        let result = self.protocol.handle_message(now(), WsMessage::Closed);
        self.settle(result).await;
        self.outbox = Outbox::default();
        self.closed = true;
    }

    /// `None` when the actor is gone without a hang-up.
    async fn command(&mut self, command: Option<MediaCommand>) {
        let command = match (command, &mut self.leg) {
            (None, Some(leg)) => {
                leg.outcome = Some(StreamOutcome::Failed);
                MediaCommand::Hangup
            }
            (None, None) => return,
            // Nobody was let in yet: there is nobody to say goodbye to.
            (Some(MediaCommand::Hangup), None) => {
                self.protocol.handle_refusal(CloseReason::Busy);
                return self.drain().await;
            }
            (Some(MediaCommand::Audio(frame)), Some(leg)) => MediaCommand::Audio(leg.convert(frame)),
            (Some(MediaCommand::Clear), Some(leg)) => {
                // What is left in the filter belongs to what is being thrown away.
                leg.outbound.flush(&mut Vec::new());
                MediaCommand::Clear
            }
            (Some(MediaCommand::Transfer(transfer)), Some(leg)) => {
                if let Some(mover) = self.state.mover.as_ref().filter(|mover| mover.can_move(self.spec.name)) {
                    self.departure = Some(leg.depart(&self.state.gate, mover.clone(), self.spec.name, transfer));
                    return;
                }
                leg.outcome = Some(StreamOutcome::Transfer(transfer.clone()));
                MediaCommand::Transfer(transfer)
            }
            (Some(command), _) => command,
        };
        let result = self.protocol.handle_command(now(), command);
        self.settle(result).await;
    }

    /// What the provider's API said about a caller who is to go. Unless it has the caller, the stream is closed, and the
    /// provider asks what comes next.
    async fn departed(&mut self, moved: Moved) {
        match (moved, &mut self.departure) {
            (Moved::Yes, Some(departure)) => departure.moved(now()),
            (Moved::Gone | Moved::No, _) => self.close_for_departure().await,
            (Moved::Stayed, _) => self.stay(),
            (Moved::Yes, None) => {}
        }
    }

    /// The caller is on this stream as before.
    fn stay(&mut self) {
        self.departure = None;
        let (Some(leg), Some(mover)) = (&mut self.leg, &self.state.mover) else { return };
        leg.departed = false;
        self.state.gate.outcomes.forget(&leg.provider_call_id);
        mover.stayed(self.spec.name, &leg.provider_call_id);
    }

    async fn close_for_departure(&mut self) {
        let Some(departure) = self.departure.take() else { return };
        let result = self.protocol.handle_command(now(), MediaCommand::Transfer(departure.into_transfer()));
        self.settle(result).await;
    }

    /// The next moment something is due, within a day.
    fn deadline(&self) -> Instant {
        let silence = if self.pinged { LOST_AFTER } else { PING_AFTER };
        let parting = self.departure.as_ref().and_then(Departure::until);
        let due = [self.protocol.poll_timeout(), self.outbox.give_up_at, parting, Some(self.heard_at + silence)];
        due.into_iter().flatten().min().unwrap_or(self.heard_at + LOST_AFTER)
    }

    async fn time_passed(&mut self) {
        let now = now();
        if self.outbox.give_up_at.is_some_and(|at| now >= at) {
            debug!("Socket took nothing for {} s", WRITE_PATIENCE.as_secs());
            return self.lost().await;
        }
        if now >= self.heard_at + LOST_AFTER {
            debug!("Peer was silent for {} s", LOST_AFTER.as_secs());
            return self.lost().await;
        }
        if now >= self.heard_at + PING_AFTER && !self.pinged {
            self.pinged = true;
            self.outbox.push(Message::Ping(Vec::new().into()));
        }
        if self.departure.as_ref().and_then(Departure::until).is_some_and(|at| now >= at) {
            return self.close_for_departure().await;
        }
        if self.protocol.poll_timeout().is_some_and(|at| now >= at) {
            self.protocol.handle_timeout(now);
            self.drain().await;
        }
    }

    /// After a message or command: what came out, and if it was unusable, what follows from that.
    async fn settle(&mut self, result: Result<(), ProtocolError>) {
        self.drain().await;
        let Err(error) = result else { return };
        self.skipped.note(self.spec.name, &error);
        match error.verdict() {
            Verdict::Skip => {}
            Verdict::Close => {
                info!(%error, "Stream can't be used: {error}");
                self.stop(StopReason::Protocol).await;
                self.protocol.handle_refusal(CloseReason::Protocol);
                self.drain().await;
            }
        }
    }

    async fn drain(&mut self) {
        while let Some(output) = self.protocol.poll_output() {
            match output {
                Output::Send(message) => self.outbox.push(match message {
                    WsMessage::Text(text) => Message::Text(text.into()),
                    WsMessage::Binary(bytes) => Message::Binary(bytes.into()),
                    WsMessage::Closed => continue,
                }),
                Output::Event(MediaEvent::Started(start)) => self.start(start),
                Output::Event(MediaEvent::Audio(frame)) => {
                    if let Some(leg) = &mut self.leg {
                        leg.heard(frame);
                    }
                }
                Output::Event(MediaEvent::Stopped(reason)) => self.stop(reason).await,
                Output::Event(event) => self.tell(event).await,
                Output::Close(reason) => {
                    let close = CloseFrame { code: reason.code(), reason: "".into() };
                    self.outbox.push(Message::Close(Some(close)));
                    self.closed = true;
                }
            }
        }
    }

    /// Lets the stream in or turns it away.
    fn start(&mut self, start: StreamStart) {
        self.permit = None;
        let provider_call_id = start.provider_call_id.clone();
        match self.open(start) {
            Ok(leg) => {
                info!(call.id = %leg.handle.id, "Stream opened");
                self.leg = Some(leg);
            }
            Err((close, reason)) => {
                counter!(metric::CALLS_REFUSED, "provider" => self.spec.name, "reason" => reason).increment(1);
                info!(reason, "Stream refused: {reason}");
                if close == CloseReason::Busy {
                    self.state.gate.outcomes.record(now(), &provider_call_id, StreamOutcome::Busy);
                }
                self.protocol.handle_refusal(close);
            }
        }
    }

    /// Who this is, if they may come in.
    fn grant(&self, start: &mut StreamStart) -> Result<StreamGrant, (CloseReason, &'static str)> {
        let gate = &self.state.gate;
        match (start.token.take().or_else(|| self.token.clone()), self.let_in) {
            (Some(token), _) => {
                let grant = gate.tokens.redeem(now(), self.spec.name, &start.provider_call_id, &token);
                grant.map_err(|error| (CloseReason::Unauthorized, error.label()))
            }
            (None, LetIn::ByToken) => Err((CloseReason::Unauthorized, "token_missing")),
            (None, LetIn::ByHandshake) => {
                // No webhook has counted this caller. One without a number is a telephone system's own business.
                if let Some(caller) = &start.from {
                    gate.limit.check(caller.reveal()).map_err(|_| (CloseReason::Busy, "rate"))?;
                }
                let named = start.provider_call_id.clone();
                let provider_call_id = if named.is_empty() { CallId::generate().to_string() } else { named };
                Ok(StreamGrant { provider: self.spec.name, provider_call_id, from: None, to: None })
            }
        }
    }

    fn open(&self, mut start: StreamStart) -> Result<Leg, (CloseReason, &'static str)> {
        let grant = self.grant(&mut start)?;
        // The signed webhook knows better who calls than the parameters of a stream.
        start.from = grant.from.or(start.from);
        start.to = grant.to.or(start.to);
        start.provider_call_id = grant.provider_call_id;
        if start.stream_id.is_empty() {
            start.stream_id = start.provider_call_id.clone();
        }
        let (rate, provider_call_id) = (start.plays_at, start.provider_call_id.clone());
        let number = start.to.as_ref().map(|number| number.reveal().clone()).unwrap_or_default();
        let account = start.parameters.get(ACCOUNT).cloned().unwrap_or_default();
        let unusable = |_| (CloseReason::Protocol, "rate");
        let inbound = Inbound::new(start.rate).map_err(unusable)?;
        let outbound = Resampler::new(SampleRate::WIDEBAND, rate).map_err(unusable)?;
        let (frames, frames_out) = mpsc::channel(INBOUND_FRAMES);
        let (events, events_out) = mpsc::channel(LEG_EVENTS);
        let (commands_in, commands) = mpsc::channel(LEG_COMMANDS);
        let io = LegIo { frames: frames_out, events: events_out, commands: commands_in };
        let busy = |error: AdmitError| (CloseReason::Busy, error.label());
        let handle = self.state.opener.open(self.spec.name, start, io).map_err(busy)?;
        let live = self.state.gate.live.enter(&provider_call_id, events.clone());
        Ok(Leg {
            provider_call_id,
            handle,
            frames,
            events,
            commands,
            inbound,
            outbound,
            rate,
            number,
            account,
            outcome: None,
            departed: false,
            _live: live,
        })
    }

    /// The stream ended: the actor hears it once, and the provider's next question finds an answer.
    async fn stop(&mut self, reason: StopReason) {
        let Some(mut leg) = self.leg.take() else { return };
        let reason = match self.departure.take() {
            Some(departure) => departure.ended(reason).await,
            None => reason,
        };
        // What became of a caller on the way to somebody else is noted already, and more by now.
        if !leg.departed {
            let outcome = leg.outcome.take().unwrap_or(match reason {
                StopReason::Provider | StopReason::Hangup => StreamOutcome::Ended,
                StopReason::SocketLost | StopReason::Protocol => StreamOutcome::Failed,
            });
            self.state.gate.outcomes.record(now(), &leg.provider_call_id, outcome);
        }
        info!(call.id = %leg.handle.id, ?reason, "Stream ended: {reason:?}");
        if !leg.tell(MediaEvent::Stopped(reason)).await {
            leg.handle.cancel.cancel();
        }
    }

    async fn tell(&mut self, event: MediaEvent) {
        let Some(leg) = &mut self.leg else { return };
        if !leg.tell(event).await {
            error!(call.id = %leg.handle.id, "Call takes no events, hanging up");
            leg.outcome = Some(StreamOutcome::Failed);
            leg.handle.cancel.cancel();
            // Not through `settle`, which calls this: what hangs up sends no event but `Stopped`, handled here.
            let _ = self.protocol.handle_command(now(), MediaCommand::Hangup);
        }
    }

    /// Whatever way the loop ended, the call knows, and what was skipped stands in the log.
    async fn finish(&mut self) {
        self.stop(StopReason::SocketLost).await;
        self.skipped.log();
    }
}

/// Messages that could not be used: each is counted, few are logged.
#[derive(Default)]
struct Skipped {
    since_log: u64,
    next_log: Option<Instant>,
    last: String,
}

impl Skipped {
    fn note(&mut self, provider: &'static str, error: &ProtocolError) {
        counter!(metric::MESSAGES_SKIPPED, "provider" => provider, "reason" => error.label()).increment(1);
        self.since_log += 1;
        if self.next_log.is_none_or(|at| now() >= at) {
            self.next_log = Some(now() + LOG_EVERY);
            self.last = error.to_string();
            self.log();
        }
    }

    fn log(&mut self) {
        if self.since_log > 0 {
            debug!(skipped = self.since_log, "Skipped {} bad messages, last: {}", self.since_log, self.last);
        }
        self.since_log = 0;
    }
}

#[cfg(test)]
mod tests;
