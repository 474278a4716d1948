//! The task behind a [`super::player::CallPlayer`]: owns the socket, moves the [`Line`] every 20 ms, returns marks as a
//! provider does.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::dialect::{Afterwards, Dialect, Incoming};
use super::event::{Event, TimedEvent};
use super::line::{Line, TICK, Utterance, millis};
use super::network::{Conditions, Network};
use crate::audio::units::Millis;
use crate::telephony::protocol::Digit;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Events kept; a call that makes more has gone wrong, and the later ones are dropped.
const MAX_EVENTS: usize = 100_000;
/// How long a socket may take our messages, and its goodbye.
const SOCKET_PATIENCE: Duration = Duration::from_secs(5);
/// Silence that ends a reply, for [`Event::ReplyEnded`].
const REPLY_PAUSE: Millis = Millis(700);

/// What a player asks of its telephone.
#[derive(Debug)]
pub(super) enum Command {
    Say { name: String, pcm: Vec<i16> },
    Dtmf(Digit),
    Prank(Prank),
    Goodbye,
    Hangup,
}

/// What no provider does, or not on purpose.
#[derive(Debug)]
pub(crate) enum Prank {
    /// These messages.
    Raw(Vec<Message>),
    /// The first messages once more, or for the first time after [`Manners::Mute`].
    Hello,
    /// Caller audio, one message later than the one behind it.
    Reordered,
    /// This mark, whether or not anybody sent it.
    Mark(String),
}

/// How a line opens.
#[derive(Debug)]
pub(crate) enum Manners {
    /// As its provider's does.
    Good,
    /// Says nothing by itself until it is asked to.
    Mute,
    /// Says this first instead.
    Instead(Vec<Message>),
}

/// What player and telephone both look at.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) line: Line,
    pub(super) events: Vec<TimedEvent>,
    pub(super) ended: bool,
    /// The most that ever waited to be played.
    pub(super) longest_queue: Millis,
    pub(super) messages: usize,
    pub(super) pongs: usize,
    pub(super) said_goodbye: Option<bool>,
}

/// The line and its events.
pub(super) fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().expect("nothing panics while holding the line")
}

/// The task behind a player: the socket, the line, the clock.
pub(super) struct Phone {
    socket: Socket,
    dialect: Box<dyn Dialect>,
    network: Network,
    shared: Arc<Mutex<Shared>>,
    tick: watch::Sender<u64>,
    opened: Instant,
    /// Recordings that are being said, or will be.
    talking: Vec<(String, Utterance, bool)>,
    /// What was said and not answered yet, in order, with where its voice ended.
    unanswered: Vec<(String, usize)>,
    replying: bool,
    /// Whether something is queued to be played.
    playing: bool,
    /// Whether any audio came yet.
    has_audio: bool,
    manners: Manners,
}

/// Why the loop ended.
enum End {
    Caller,
    /// The server asked for it.
    Asked(String),
    Server(Option<CloseFrame>, String),
    Lost(String),
}

impl Phone {
    /// A telephone on an open socket. `tick` is told every 20 ms.
    pub(super) fn new(
        socket: Socket,
        dialect: Box<dyn Dialect>,
        conditions: Conditions,
        shared: Arc<Mutex<Shared>>,
        tick: watch::Sender<u64>,
        opened: Instant,
    ) -> Self {
        let unanswered = vec![("greeting".to_owned(), 0)];
        let (talking, replying, playing, has_audio) = (Vec::new(), false, false, false);
        Self {
            socket,
            dialect,
            network: Network::new(conditions),
            shared,
            tick,
            opened,
            talking,
            unanswered,
            replying,
            playing,
            has_audio,
            manners: Manners::Good,
        }
    }

    /// The same, opening otherwise.
    pub(super) fn with(self, manners: Manners) -> Self {
        Self { manners, ..self }
    }

    /// The whole call, goodbye included.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Command>, afterwards: Option<Afterwards>) {
        let end = self.converse(&mut inbox).await;
        let (by, code, mut reason) = match end {
            End::Caller => {
                self.say_goodbye().await;
                ("caller", self.drain().await, String::new())
            }
            End::Asked(reason) => {
                self.say_goodbye().await;
                ("server", self.drain().await, reason)
            }
            End::Server(frame, reason) => {
                let said = frame.as_ref().map(|frame| frame.reason.to_string()).unwrap_or_default();
                let reason = if reason.is_empty() { said } else { reason };
                self.drain().await;
                ("server", frame.map(|frame| frame.code.into()), reason)
            }
            End::Lost(reason) => ("lost", None, reason),
        };
        if by != "caller"
            && let Some(afterwards) = afterwards
        {
            match afterwards.await {
                Ok(said) if said.is_empty() => {}
                Ok(said) => reason = said,
                Err(error) => reason = format!("nobody says what comes next: {error}"),
            }
        }
        self.note(Event::Ended { by, code, reason });
        lock(&self.shared).ended = true;
    }

    async fn converse(&mut self, inbox: &mut mpsc::Receiver<Command>) -> End {
        let hello = match std::mem::replace(&mut self.manners, Manners::Good) {
            Manners::Good => self.dialect.hello(),
            Manners::Instead(messages) => messages,
            Manners::Mute => {
                self.manners = Manners::Mute;
                Vec::new()
            }
        };
        if let Err(reason) = self.send_all(hello).await {
            return End::Lost(reason);
        }
        self.note(Event::Connected);
        let mut ticker = interval(Millis::FRAME.duration());
        // A late tick is made up for: the line keeps real time on average.
        ticker.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut farewell = String::new();
        loop {
            let sent = tokio::select! {
                _ = ticker.tick() => self.pass_time().await,
                message = self.socket.next() => match message {
                    Some(Ok(Message::Close(frame))) => return End::Server(frame, farewell),
                    Some(Ok(Message::Pong(_))) => {
                        lock(&self.shared).pongs += 1;
                        Ok(())
                    }
                    Some(Ok(message)) => {
                        lock(&self.shared).messages += usize::from(!message.is_ping());
                        let mut result = Ok(());
                        for incoming in self.dialect.read(message) {
                            match incoming {
                                Incoming::Ended(reason) => farewell = reason,
                                Incoming::HangUp(reason) => return End::Asked(reason),
                                incoming => result = result.and(self.heard(incoming).await),
                            }
                        }
                        result
                    }
                    Some(Err(error)) => return End::Lost(error.to_string()),
                    None => return End::Lost("the socket ended without a close".to_owned()),
                },
                command = inbox.recv() => match command {
                    Some(Command::Say { name, pcm }) => {
                        let utterance = lock(&self.shared).line.say(&pcm);
                        self.talking.push((name, utterance, false));
                        Ok(())
                    }
                    Some(Command::Dtmf(digit)) => {
                        let messages = self.dialect.dtmf(digit);
                        self.note(Event::Dtmf { digit: digit.get() });
                        self.send_all(messages).await
                    }
                    Some(Command::Prank(prank)) => self.prank(prank).await,
                    Some(Command::Goodbye) => {
                        let goodbye = self.dialect.goodbye();
                        self.manners = Manners::Mute;
                        // Where the server has to answer in words first, the close is the provider's.
                        let said = !goodbye.is_empty() && self.dialect.is_over();
                        lock(&self.shared).said_goodbye = Some(said);
                        self.send_all(goodbye).await
                    }
                    Some(Command::Hangup) | None => return End::Caller,
                },
            };
            if let Err(reason) = sent {
                return End::Lost(reason);
            }
        }
    }

    /// 20 ms: speaks, hears, returns marks.
    async fn pass_time(&mut self) -> Result<(), String> {
        let (tick, replying, position, queued) = {
            let line = &mut lock(&self.shared).line;
            (line.tick(), line.is_replying(REPLY_PAUSE), line.position(), line.queued())
        };
        let mut happened = Vec::new();
        self.talking.retain_mut(|(name, utterance, begun)| {
            if !*begun && utterance.begin < position {
                *begun = true;
                happened.push(Event::CallerStarted { name: name.clone() });
            }
            let over = *begun && utterance.voice_end <= position;
            if over {
                happened.push(Event::CallerEnded { name: name.clone() });
                self.unanswered.push((name.clone(), utterance.voice_end));
            }
            !over
        });
        happened.extend(self.answered());
        if replying != self.replying {
            self.replying = replying;
            happened.push(if replying { Event::ReplyStarted } else { Event::ReplyEnded });
        }
        happened.into_iter().for_each(|event| self.note(event));
        if !matches!(self.manners, Manners::Mute) {
            let audio = self.dialect.audio(&tick.spoken);
            self.network.audio(Instant::now(), audio);
        }
        self.deliver().await?;
        self.return_marks(tick.reached, false).await?;
        self.tell_playing(queued > Millis::ZERO).await?;
        self.tick.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Whether an answer has begun: to the last thing said before it, and so to all before that.
    fn answered(&mut self) -> Option<Event> {
        let shared = lock(&self.shared);
        let begins = self.unanswered.iter().find_map(|(_, end)| shared.line.reply_after(*end))?;
        let answered = self.unanswered.iter().rposition(|(_, end)| *end <= begins)?;
        let (name, end) = self.unanswered.drain(..=answered).next_back()?;
        Some(Event::Responded { name, response_ms: millis(begins - end) })
    }

    async fn heard(&mut self, incoming: Incoming) -> Result<(), String> {
        match incoming {
            Incoming::Started => self.note(Event::Started),
            Incoming::Audio(pcm) => {
                if !std::mem::replace(&mut self.has_audio, true) {
                    self.note(Event::FirstAudio);
                }
                let room = {
                    let shared = &mut *lock(&self.shared);
                    let line = &mut shared.line;
                    let room = line.queued() <= self.dialect.longest_queue();
                    if room {
                        line.receive(&pcm);
                    }
                    let queued = line.queued();
                    shared.longest_queue = shared.longest_queue.max(queued);
                    room
                };
                if !room {
                    self.note(Event::Misunderstood { what: "audio, more than the provider keeps".to_owned() });
                }
                self.tell_playing(true).await?;
            }
            Incoming::Mark(name) => {
                let reached = lock(&self.shared).line.mark(name);
                self.return_marks(reached, false).await?;
            }
            Incoming::Clear => {
                let flushed = lock(&self.shared).line.clear();
                self.note(Event::Cleared);
                self.return_marks(flushed, true).await?;
                let answer = self.dialect.cleared();
                self.send_all(answer).await?;
                self.tell_playing(false).await?;
            }
            Incoming::Caption(caption) => {
                let (who, text, is_final) = (caption.who, caption.text, caption.is_final);
                self.note(Event::Caption { who, text, is_final });
            }
            Incoming::Pause(paused) => lock(&self.shared).line.pause(paused),
            Incoming::Dtmf(keys) => self.note(Event::KeysHeard { keys }),
            Incoming::Reply(message) => self.send_all(vec![message]).await?,
            Incoming::Unknown(what) => self.note(Event::Misunderstood { what }),
            Incoming::Ended(_) | Incoming::HangUp(_) => {}
        }
        Ok(())
    }

    async fn prank(&mut self, prank: Prank) -> Result<(), String> {
        let messages = match prank {
            Prank::Raw(messages) => messages,
            Prank::Hello => {
                self.manners = Manners::Good;
                self.dialect.hello()
            }
            Prank::Reordered => {
                let silence = vec![0; TICK];
                let [first, second] = [self.dialect.audio(&silence), self.dialect.audio(&silence)];
                second.into_iter().chain(first).collect()
            }
            Prank::Mark(name) => self.dialect.mark(&name, false),
        };
        self.send_all(messages).await
    }

    async fn return_marks(&mut self, marks: impl IntoIterator<Item = String>, cleared: bool) -> Result<(), String> {
        for name in marks {
            let messages = self.dialect.mark(&name, cleared);
            // Some providers keep quiet about marks that were flushed, or about all.
            if !messages.is_empty() {
                self.note(Event::MarkReturned { name, cleared });
            }
            self.send_all(messages).await?;
        }
        Ok(())
    }

    /// Playback has begun or run out, if that is news.
    async fn tell_playing(&mut self, playing: bool) -> Result<(), String> {
        if std::mem::replace(&mut self.playing, playing) == playing {
            return Ok(());
        }
        let messages = self.dialect.playing(playing);
        self.send_all(messages).await
    }

    async fn say_goodbye(&mut self) {
        let goodbye = self.dialect.goodbye();
        for message in self.network.rest().into_iter().chain(goodbye) {
            // An error means that the other side was quicker.
            let _ = self.send(message).await;
        }
        let answer = async {
            while !self.dialect.is_over() {
                let Some(Ok(message)) = self.socket.next().await else { return };
                self.dialect.read(message);
            }
        };
        let _ = timeout(SOCKET_PATIENCE, answer).await;
    }

    async fn send_all(&mut self, messages: Vec<Message>) -> Result<(), String> {
        self.network.control(Instant::now(), messages);
        self.deliver().await
    }

    /// Sends what has come through the network by now.
    async fn deliver(&mut self) -> Result<(), String> {
        for message in self.network.arrived(Instant::now()) {
            self.send(message).await?;
        }
        Ok(())
    }

    async fn send(&mut self, message: Message) -> Result<(), String> {
        match timeout(SOCKET_PATIENCE, self.socket.send(message)).await {
            Ok(sent) => sent.map_err(|error| error.to_string()),
            Err(_) => Err(format!("the server took nothing for {} s", SOCKET_PATIENCE.as_secs())),
        }
    }

    /// Closes the socket and waits for the other side; returns its close code.
    async fn drain(&mut self) -> Option<u16> {
        let goodbye = async {
            let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            let _ = self.socket.close(Some(frame)).await;
            let mut code = None;
            while let Some(Ok(message)) = self.socket.next().await {
                if let Message::Close(frame) = message {
                    code = frame.map(|frame| frame.code.into());
                }
            }
            code
        };
        timeout(SOCKET_PATIENCE, goodbye).await.ok().flatten()
    }

    fn note(&self, event: Event) {
        let at_ms = self.opened.elapsed().as_millis() as u64;
        let mut shared = lock(&self.shared);
        if shared.events.len() < MAX_EVENTS {
            shared.events.push(TimedEvent { at_ms, event });
        }
    }
}
