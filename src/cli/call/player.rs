//! A caller with a telephone, for tests and measurements: connects as a provider (or a page) would, speaks recordings in
//! real time, hears the replies as they would be played, and measures.
//!
//! `phone.rs` is the task that owns the socket and moves the line every 20 ms; the [`CallPlayer`] tells it what to do
//! and looks at the line. Playback queues as at a provider: marks return when really played, at once when cleared.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::Message;

use super::CallError;
use super::dialect::{Announced, announce};
pub use super::event::{Event, TimedEvent};
use super::line::{RATE, Utterance, millis};
use super::network::Conditions;
use super::phone::{Command, Phone, Shared, lock};
pub(crate) use super::phone::{Manners, Prank};
use crate::audio::units::Millis;
use crate::telemetry::Secret;
use crate::telephony::protocol::Digit;

/// Commands waiting for the line's task.
const COMMANDS: usize = 16;

/// Whom to call, as whom.
#[derive(Clone, Debug)]
pub struct Dial {
    /// The server: `http://127.0.0.1:8080`, without a slash at the end.
    pub base: String,
    /// Row name.
    pub provider: String,
    /// Caller's number.
    pub from: String,
    /// The number that is called.
    pub to: String,
    /// The provider's id of the call; made up without.
    pub call_id: Option<String>,
    /// What the provider signs with.
    pub auth_token: Secret<String>,
    /// A stream token to use instead of asking the webhook.
    pub token: Option<Secret<String>>,
    /// The address the server is configured to be known by, if it is not `base`: signatures are made for it.
    pub public_url: Option<String>,
    /// The media socket itself, where it is no path of ours: no webhook is asked then.
    pub socket: Option<String>,
    /// Which form of the dialect, where it has several; the usual one without.
    pub variant: Option<String>,
    /// How long the server may take for an answer to a request.
    pub patience: Duration,
    /// How bad the way to the server is.
    pub conditions: Conditions,
}

impl Dial {
    /// A call to the server at `base` through `provider`, with numbers reserved for tests.
    pub fn new(base: impl Into<String>, provider: impl Into<String>) -> Self {
        Self {
            base: base.into().trim_end_matches('/').to_owned(),
            provider: provider.into(),
            from: "+15005550006".to_owned(),
            to: "+15005550001".to_owned(),
            call_id: None,
            auth_token: Secret::new(String::new()),
            token: None,
            public_url: None,
            socket: None,
            variant: None,
            patience: Duration::from_secs(10),
            conditions: Conditions::default(),
        }
    }

    /// Where `provider`'s media socket is.
    pub(super) fn media_url(&self, provider: &str) -> String {
        format!("{}/media/{provider}", self.base.replacen("http", "ws", 1))
    }

    /// The URL under which `url` is reached from here.
    pub(super) fn reachable(&self, url: &str) -> String {
        match &self.public_url {
            Some(public) => swap_base(url, public, &self.base),
            None => url.to_owned(),
        }
    }

    /// The URL under which the server knows `url`, and so the one that is signed.
    pub(super) fn as_signed(&self, url: &str) -> String {
        match &self.public_url {
            Some(public) => swap_base(url, &self.base, public),
            None => url.to_owned(),
        }
    }
}

/// `url` with the base `from` replaced by `to`, as a websocket's URL too; unchanged when it has another base.
fn swap_base(url: &str, from: &str, to: &str) -> String {
    let (from, to) = (from.trim_end_matches('/'), to.trim_end_matches('/'));
    let websocket = |base: &str| base.replacen("http", "ws", 1);
    let swap = |from: &str, to: &str| url.strip_prefix(from).map(|rest| format!("{to}{rest}"));
    swap(from, to).or_else(|| swap(&websocket(from), &websocket(to))).unwrap_or_else(|| url.to_owned())
}

/// What was said and heard so far, both 16 kHz mono and equally long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Captured {
    /// The caller's side.
    pub caller: Vec<i16>,
    /// What the caller heard.
    pub reply: Vec<i16>,
}

/// What came back after something was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Reply {
    /// From the caller's last voice (or the opening of the line) to the first voice heard.
    pub response_ms: u64,
    /// How long the reply was, pauses included.
    pub reply_ms: u64,
    /// False when it was still going on when patience ended: hold music, say.
    pub finished: bool,
}

/// A call from the caller's side.
#[derive(Debug)]
pub struct CallPlayer {
    commands: mpsc::Sender<Command>,
    shared: Arc<Mutex<Shared>>,
    ticks: watch::Receiver<u64>,
    opened: Instant,
    task: JoinSet<()>,
}

impl CallPlayer {
    /// Announces the call as its provider does and opens its stream.
    pub async fn connect(dial: &Dial) -> Result<Self, CallError> {
        Self::open_over(dial.conditions, announce(dial).await?, dial.patience, Manners::Good).await
    }

    /// Opens the stream of a call that is announced.
    pub(crate) async fn open(announced: Announced, patience: Duration, manners: Manners) -> Result<Self, CallError> {
        Self::open_over(Conditions::default(), announced, patience, manners).await
    }

    async fn open_over(
        conditions: Conditions,
        announced: Announced,
        patience: Duration,
        manners: Manners,
    ) -> Result<Self, CallError> {
        let Announced { request, dialect, afterwards } = announced;
        let url = request.uri().to_string();
        // Frames are small and often: the kernel must not wait for more before it sends one.
        let connecting = connect_async_with_config(request, None, true);
        let connected = timeout(patience, connecting).await;
        let (socket, response) = match connected {
            Ok(Ok(connected)) => connected,
            Ok(Err(source)) => return Err(CallError::Socket { url, source: Box::new(source) }),
            Err(_) => return Err(CallError::Timeout { what: "the socket to open", after: patience }),
        };
        dialect.accepts(&response).map_err(|why| CallError::Handshake { url, why })?;
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (tick, ticks) = watch::channel(0);
        let shared = Arc::new(Mutex::new(Shared::default()));
        let opened = Instant::now();
        let phone = Phone::new(socket, dialect, conditions, shared.clone(), tick, opened).with(manners);
        let mut tasks = JoinSet::new();
        tasks.spawn(phone.run(inbox, afterwards));
        Ok(Self { commands, shared, ticks, opened, task: tasks })
    }

    /// Says `pcm` (16 kHz mono) after whatever is still being said, and returns when its last sample was sent.
    pub async fn play(&mut self, name: &str, pcm: &[i16]) -> Result<(), CallError> {
        let begins = self.begin(name, pcm).await?;
        while self.position() < begins.end {
            self.tick().await?;
        }
        Ok(())
    }

    /// Begins to say `pcm` and returns at once, with where on the line it lies.
    pub async fn begin(&mut self, name: &str, pcm: &[i16]) -> Result<Utterance, CallError> {
        let before = self.lock().line.last_utterance();
        self.send(Command::Say { name: name.to_owned(), pcm: pcm.to_vec() }).await?;
        loop {
            if let Some(utterance) = self.lock().line.last_utterance().filter(|now| Some(*now) != before) {
                return Ok(utterance);
            }
            self.tick().await?;
        }
    }

    /// Presses a key.
    pub async fn dtmf(&mut self, digit: Digit) -> Result<(), CallError> {
        self.send(Command::Dtmf(digit)).await
    }

    /// Waits until the reply to the last thing said (or the greeting) was heard and `pause` passed in silence.
    ///
    /// No voice within `patience`: [`CallError::NoReply`]. Voice without end until then: `finished` is false.
    pub async fn wait_reply_end(&mut self, pause: Duration, patience: Duration) -> Result<Reply, CallError> {
        let after = self.lock().line.last_utterance().map_or(0, |utterance| utterance.voice_end);
        self.wait_reply_after(after, pause, patience).await
    }

    /// The same for a reply to something that was over at `after`, in samples of the line: a key, say.
    pub async fn wait_reply_after(
        &mut self,
        after: usize,
        pause: Duration,
        patience: Duration,
    ) -> Result<Reply, CallError> {
        let pause = Millis::from_duration(pause);
        let deadline = Instant::now() + patience;
        loop {
            {
                let shared = self.lock();
                let line = &shared.line;
                let begin = line.reply_after(after);
                let out_of_patience = Instant::now() >= deadline;
                if let Some(begin) = begin
                    && (out_of_patience || !line.is_replying(pause))
                {
                    let end = line.last_reply().unwrap_or(begin).max(begin);
                    return Ok(Reply {
                        response_ms: millis(begin.saturating_sub(after)),
                        reply_ms: millis(end - begin),
                        finished: !line.is_replying(pause),
                    });
                }
                if out_of_patience {
                    return Err(CallError::NoReply { patience });
                }
            }
            self.tick().await?;
        }
    }

    /// Waits until something is heard that answers the last thing said, and returns the time it took to begin.
    pub async fn wait_reply_start(&mut self, patience: Duration) -> Result<Duration, CallError> {
        let after = self.lock().line.last_utterance().map_or(0, |utterance| utterance.voice_end);
        let deadline = Instant::now() + patience;
        loop {
            if let Some(begin) = self.lock().line.reply_after(after) {
                return Ok(Duration::from_millis(millis(begin.saturating_sub(after))));
            }
            if Instant::now() >= deadline {
                return Err(CallError::NoReply { patience });
            }
            self.tick().await?;
        }
    }

    /// Does what no provider does.
    pub(crate) async fn prank(&mut self, prank: Prank) -> Result<(), CallError> {
        self.send(Command::Prank(prank)).await
    }

    /// Says goodbye in the dialect's words without closing the socket; false where it has none.
    pub(crate) async fn say_goodbye(&mut self) -> Result<bool, CallError> {
        self.send(Command::Goodbye).await?;
        loop {
            let ticked = self.tick().await;
            // Looked at after that: a server may close at once.
            if let Some(said) = self.lock().said_goodbye {
                return Ok(said);
            }
            ticked?;
        }
    }

    /// Pings, and waits until it comes back.
    pub(crate) async fn ping(&mut self, patience: Duration) -> Result<(), CallError> {
        let before = self.lock().pongs;
        self.send(Command::Prank(Prank::Raw(vec![Message::Ping(b"?".to_vec().into())]))).await?;
        let deadline = Instant::now() + patience;
        while self.lock().pongs == before {
            if Instant::now() >= deadline {
                return Err(CallError::Timeout { what: "a pong", after: patience });
            }
            self.tick().await?;
        }
        Ok(())
    }

    /// The most that ever waited to be played.
    pub(crate) fn longest_queue(&self) -> Millis {
        self.lock().longest_queue
    }

    /// Messages of any kind that came, pings and pongs aside.
    pub(crate) fn messages(&self) -> usize {
        self.lock().messages
    }

    /// Whether voice was heard within the last `pause`, or waits to be played.
    pub(crate) fn is_hearing(&self, pause: Millis) -> bool {
        self.lock().line.is_replying(pause)
    }

    /// Stays on the line for `span`.
    pub async fn wait(&mut self, span: Duration) -> Result<(), CallError> {
        let until = Instant::now() + span;
        while Instant::now() < until {
            self.tick().await?;
        }
        Ok(())
    }

    /// Waits until an event for which `wanted` holds has happened since the event numbered `since`; returns it.
    pub async fn wait_event(
        &mut self,
        since: usize,
        patience: Duration,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<TimedEvent, CallError> {
        let deadline = Instant::now() + patience;
        loop {
            let over = self.ticks.has_changed().is_err();
            // Looked at after that, because a call's last event comes before its end.
            if let Some(found) = self.events(since).into_iter().find(|timed| wanted(&timed.event)) {
                return Ok(found);
            }
            if over {
                return Err(self.over());
            }
            if Instant::now() >= deadline {
                return Err(CallError::Timeout { what: "an event", after: patience });
            }
            let _ = self.tick().await;
        }
    }

    /// Waits until the server ends the call.
    pub async fn wait_end(&mut self, patience: Duration) -> Result<TimedEvent, CallError> {
        self.wait_event(0, patience, |event| matches!(event, Event::Ended { .. })).await
    }

    /// The events so far, without the first `skip`.
    pub fn events(&self, skip: usize) -> Vec<TimedEvent> {
        self.lock().events.get(skip..).unwrap_or_default().to_vec()
    }

    /// What was said and heard so far.
    pub fn captured_audio(&self) -> Captured {
        let shared = self.lock();
        Captured { caller: shared.line.spoken().to_vec(), reply: shared.line.heard().to_vec() }
    }

    /// The last `span` of what was heard.
    pub(crate) fn heard_lately(&self, span: Millis) -> Vec<i16> {
        let shared = self.lock();
        let heard = shared.line.heard();
        heard[heard.len().saturating_sub(RATE.samples_in(span))..].to_vec()
    }

    /// Samples of the line that have passed, of either side.
    pub fn position(&self) -> usize {
        self.lock().line.position()
    }

    /// From here on this (16 kHz mono) is behind the caller, over and over.
    pub fn set_background(&self, pcm: Vec<i16>) {
        self.lock().line.set_background(pcm);
    }

    /// Milliseconds since the socket opened.
    pub fn elapsed(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Whether the call is over.
    pub fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Speaks and presses keys beside the player, at times of its own.
    pub fn remote(&self) -> Remote {
        Remote { commands: self.commands.clone(), opened: self.opened }
    }

    /// Told about every 20 ms, for those who watch the call from beside it.
    pub fn watcher(&self) -> Watcher {
        Watcher { shared: self.shared.clone(), ticks: self.ticks.clone(), told: 0 }
    }

    /// Hangs up, waits for the server's goodbye, and returns all that happened.
    pub async fn hangup(mut self) -> (Vec<TimedEvent>, Captured) {
        // An error means that the other side was quicker.
        let _ = self.commands.send(Command::Hangup).await;
        while self.task.join_next().await.is_some() {}
        (self.events(0), self.captured_audio())
    }

    async fn send(&mut self, command: Command) -> Result<(), CallError> {
        self.commands.send(command).await.map_err(|_| self.over())
    }

    async fn tick(&mut self) -> Result<(), CallError> {
        self.ticks.changed().await.map_err(|_| self.over())
    }

    fn over(&self) -> CallError {
        let ended = self.lock().events.iter().rev().find_map(|timed| match &timed.event {
            Event::Ended { by, reason, .. } => Some((*by, reason.clone())),
            _ => None,
        });
        let (by, reason) = ended.unwrap_or(("lost", String::new()));
        CallError::Over { by, reason }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }
}

/// Speaks and presses keys at fixed times.
#[derive(Clone, Debug)]
pub struct Remote {
    commands: mpsc::Sender<Command>,
    opened: Instant,
}

impl Remote {
    /// Waits until `at` after the socket opened.
    pub async fn wait_until(&self, at: Duration) {
        sleep_until(self.opened + at).await;
    }

    /// Says `pcm` (16 kHz mono) after whatever is still being said. False when the call is over.
    pub async fn say(&self, name: &str, pcm: Vec<i16>) -> bool {
        self.commands.send(Command::Say { name: name.to_owned(), pcm }).await.is_ok()
    }

    /// Presses a key. False when the call is over.
    pub async fn dtmf(&self, digit: Digit) -> bool {
        self.commands.send(Command::Dtmf(digit)).await.is_ok()
    }
}

/// Follows a call's events from beside it.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<Mutex<Shared>>,
    ticks: watch::Receiver<u64>,
    told: usize,
}

impl Watcher {
    /// The next events, at least one; `None` once the call is over and all was told.
    pub async fn next(&mut self) -> Option<Vec<TimedEvent>> {
        loop {
            let fresh = lock(&self.shared).events.get(self.told..).unwrap_or_default().to_vec();
            if !fresh.is_empty() {
                self.told += fresh.len();
                return Some(fresh);
            }
            if self.ticks.changed().await.is_err() && lock(&self.shared).events.len() <= self.told {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_swapped_between_here_and_the_public_address() {
        let mut dial = Dial::new("http://127.0.0.1:8080/", "twilio");
        assert_eq!(dial.reachable("ws://127.0.0.1:8080/media/twilio"), "ws://127.0.0.1:8080/media/twilio");
        dial.public_url = Some("https://voice.example.com".to_owned());
        assert_eq!(dial.reachable("wss://voice.example.com/media/twilio"), "ws://127.0.0.1:8080/media/twilio");
        assert_eq!(dial.as_signed("http://127.0.0.1:8080/voice"), "https://voice.example.com/voice");
        assert_eq!(dial.as_signed("ws://127.0.0.1:8080/media"), "wss://voice.example.com/media");
        assert_eq!(dial.reachable("wss://elsewhere.example/x"), "wss://elsewhere.example/x");
    }
}
