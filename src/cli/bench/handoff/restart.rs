//! The server's process is killed while a caller waits, is offered, or speaks with an agent, and started again on the same
//! records. A caller who comes back, as their provider would bring them, must reach the agent; one who does not must be on the
//! list of those to be called back. Each wish for a person ends once.

use std::path::Path;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use jiff::Timestamp;
use reqwest::StatusCode;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::ground::{CALLER_HZ, agent_hz, share, tone};
use crate::cli::CliError;
use crate::cli::bench::bridge::{People, SECRET};
use crate::cli::bench::process::helper;
use crate::cli::call::dialect::{Announced, Dialect, Incoming, announce};
use crate::cli::call::player::Dial;
use crate::config::DatabaseConfig;
use crate::handoff::intervals::{Limits, Span, figures};
use crate::handoff::wire::{AgentState, FromAgent, ToAgent};
use crate::store::sqlite::SqliteStore;
use crate::store::{HandoffOutcome, Store};
use crate::telemetry::Secret;
use crate::telephony::protocol::Digit;
use crate::telephony::signature::{TWILIO_HEADER, sign_twilio};

/// For anything to happen.
const PATIENCE: Duration = Duration::from_secs(40);
/// For records to be written.
const WRITTEN: Duration = Duration::from_millis(500);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    /// Came back and spoke with a person.
    pub served: usize,
    /// Came back and did not; or did not come back and is on no list; or something else went wrong.
    pub lost: Vec<String>,
    /// Did not come back and is on the list.
    pub on_the_list: usize,
    /// Wishes that did not end once.
    pub unclosed: usize,
}

/// Where the caller is when the process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Waiting,
    Offered,
    Bridged,
}

/// So many restarts: in turn in each state, and in turn with a caller who comes back and one who does not.
pub(super) async fn run(rounds: usize) -> Result<Restarts, CliError> {
    let failed = |error: String| CliError::failed(format!("a restart could not be tried: {error}"), "");
    let mut seen = Restarts::default();
    for round in 0..rounds {
        let folder = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
        let place = [Where::Waiting, Where::Offered, Where::Bridged][round % 3];
        let returns = round / 3 % 2 == 0;
        match one(folder.path(), round, place, returns).await {
            Ok(unclosed) => {
                seen.unclosed += unclosed;
                seen.served += usize::from(returns);
                seen.on_the_list += usize::from(!returns);
            }
            Err(why) => seen.lost.push(format!("round {round}, {place:?}, returns {returns}: {why}")),
        }
    }
    Ok(seen)
}

/// Gives what of before the restart is still open after it.
async fn one(folder: &Path, round: usize, place: Where, returns: bool) -> Result<usize, String> {
    let call = format!("CA{round:032}");
    let (mut server, people) = start(folder).await?;
    let mut agent = Agent::connect(&people).await?;
    if place != Where::Waiting {
        agent.available().await?;
    }
    let mut caller = Caller::connect(dial(&people, &call, round, None)).await?;
    caller.press_zero().await?;
    match place {
        Where::Waiting => caller.talk_until(Instant::now() + Duration::from_secs(2), None).await.map(drop)?,
        Where::Offered => {
            let offered = together(&mut caller, agent.wait_for(|message| matches!(message, ToAgent::Offer(_)))).await?;
            drop(offered);
        }
        Where::Bridged => served(&mut caller, &mut agent).await?,
    }
    together(&mut caller, on_record(folder, place)).await?;
    kill(&mut server).await;
    drop((caller, agent));
    let restarted = Timestamp::now();
    let (mut server, people) = start(folder).await?;
    let result = if returns { back(&people, &call, round).await } else { listed(&people).await };
    sleep(WRITTEN).await;
    let open = unclosed(folder, restarted).await;
    kill(&mut server).await;
    result.and(open)
}

/// Waits until the wish is on record, and the offer or the conversation it led to: what is not is lost in a crash.
async fn on_record(folder: &Path, place: Where) -> Result<(), String> {
    let store = SqliteStore::open(&DatabaseConfig::default().url, folder).await.map_err(|error| error.to_string())?;
    loop {
        let period = store.period(Timestamp::UNIX_EPOCH, Timestamp::now()).await.map_err(|error| error.to_string())?;
        let is_there = match place {
            Where::Waiting => !period.handoffs.is_empty(),
            Where::Offered => !period.offers.is_empty(),
            Where::Bridged => !period.contacts.is_empty(),
        };
        if is_there {
            store.close().await;
            return Ok(());
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// The provider asks what comes next, and brings the caller back; they reach a person.
async fn back(people: &People, call: &str, round: usize) -> Result<(), String> {
    let url = format!("{}/voice/twilio/after", people.base);
    let from = number(round);
    let form = [("CallSid", call), ("CallStatus", "in-progress"), ("From", &from), ("To", "+15005550001")];
    let owned: Vec<_> = form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = http()?.post(&url).header("content-type", "application/x-www-form-urlencoded").body(body);
    let response = request.header(TWILIO_HEADER, sign_twilio(SECRET, &url, &owned)).send().await;
    let document = response.map_err(|error| error.to_string())?.text().await.map_err(|error| error.to_string())?;
    let token = document.split_once("name=\"token\" value=\"").and_then(|(_, rest)| rest.split_once('"'));
    let token = Secret::new(token.ok_or("the caller is not let back in")?.0.to_owned());
    let mut caller = Caller::connect(dial(people, call, round, Some(token))).await?;
    let mut agent = Agent::connect(people).await?;
    agent.available().await?;
    served(&mut caller, &mut agent).await
}

/// The caller does not come back: they are on the list.
async fn listed(people: &People) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let request = http()?.get(format!("{}/api/v1/messages", people.base)).bearer_auth(&people.tokens[0]);
        let response = request.send().await.map_err(|error| error.to_string())?;
        if response.status() == StatusCode::OK {
            let messages: serde_json::Value = response.json().await.map_err(|error| error.to_string())?;
            let messages = messages.as_array().map_or(0, Vec::len);
            match messages {
                0 => {}
                1 => return Ok(()),
                more => return Err(format!("{more} entries on the list")),
            }
        }
        sleep(Duration::from_millis(500)).await;
    }
    Err("on no list".to_owned())
}

/// The agent takes the caller, and both hear each other.
async fn served(caller: &mut Caller, agent: &mut Agent) -> Result<(), String> {
    together(caller, agent.take()).await?;
    let until = Instant::now() + PATIENCE;
    let (mut agent_heard, mut caller_heard) = (false, false);
    while !(agent_heard && caller_heard) {
        if Instant::now() > until {
            return Err(format!("joined, and the agent heard: {agent_heard}, the caller heard: {caller_heard}"));
        }
        agent_heard |= agent.talk(Duration::from_millis(60)).await?;
        caller_heard |= caller.talk_until(Instant::now() + Duration::from_millis(60), Some(agent_hz(0))).await?;
    }
    Ok(())
}

/// What the agent does, while the caller's line goes on.
async fn together<T>(caller: &mut Caller, agent: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let done = async {
        tokio::select! {
            done = agent => done,
            gone = caller.talk_until(Instant::now() + PATIENCE, None) => Err(gone.err().unwrap_or("too late".to_owned())),
        }
    };
    timeout(PATIENCE, done).await.map_err(|_| "nothing happened".to_owned())?
}

async fn start(folder: &Path) -> Result<(Child, People), String> {
    let path = folder.to_string_lossy().into_owned();
    let arguments = ["bridge", "--role", "serve", "--calls", "1", "--folder", &path];
    let mut server = helper("0-1", 2, &arguments).map_err(|error| error.to_string())?;
    let stdout = server.stdout.take().ok_or("no output")?;
    let said = timeout(PATIENCE, BufReader::new(stdout).lines().next_line()).await;
    let line = said.map_err(|_| "the server does not start")?.map_err(|error| error.to_string())?;
    let people = serde_json::from_str(&line.ok_or("the server ended")?).map_err(|error| error.to_string())?;
    Ok((server, people))
}

/// As a crash would: nothing is said, nothing written.
async fn kill(server: &mut Child) {
    let _ = server.start_kill();
    let _ = server.wait().await;
}

/// Handoffs, conversations and offers from before the restart that have no end.
async fn unclosed(folder: &Path, restarted: Timestamp) -> Result<usize, String> {
    // Beside the running server, as whoever reads records would.
    let store = SqliteStore::open(&DatabaseConfig::default().url, folder).await.map_err(|error| error.to_string())?;
    let period = store.period(Timestamp::UNIX_EPOCH, restarted).await.map_err(|error| error.to_string());
    store.close().await;
    let period = period?;
    let before: Vec<_> = period.handoffs.iter().filter(|one| one.requested_at < restarted).collect();
    let open = before.iter().filter(|one| one.outcome == HandoffOutcome::Open || one.ended_at.is_none());
    let talking = period.contacts.iter().filter(|one| one.began_at < restarted && one.ended_at.is_none());
    let asked = period.offers.iter().filter(|one| one.result.is_none());
    if before.len() != 1 {
        return Err(format!("{} wishes on record of before", before.len()));
    }
    let limits = Limits { service_level: PATIENCE, now: Timestamp::now() };
    let span = Span { from: Timestamp::UNIX_EPOCH, until: Timestamp::MAX };
    let counted = figures(&period, span, &limits, None).queued;
    if counted != 1 {
        return Err(format!("one caller is {counted} in the numbers"));
    }
    Ok(open.count() + talking.count() + asked.count())
}

pub(super) fn http() -> Result<reqwest::Client, String> {
    crate::engine::llm::openai::install_crypto();
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().map_err(|error| error.to_string())
}

fn number(round: usize) -> String {
    format!("+1500555{:04}", 2_000 + round)
}

fn dial(people: &People, call: &str, round: usize, token: Option<Secret<String>>) -> Dial {
    let mut dial = Dial::new(&people.base, "twilio");
    dial.auth_token = Secret::new(SECRET.to_owned());
    (dial.call_id, dial.from, dial.token) = (Some(call.to_owned()), number(round), token);
    dial
}

struct Caller {
    socket: Socket,
    dialect: Box<dyn Dialect>,
    frame: Vec<i16>,
}

impl Caller {
    async fn connect(dial: Dial) -> Result<Self, String> {
        let Announced { request, mut dialect, .. } = announce(&dial).await.map_err(|error| error.to_string())?;
        let (mut socket, _) =
            connect_async_with_config(request, None, true).await.map_err(|error| error.to_string())?;
        for message in dialect.hello() {
            socket.send(message).await.map_err(|error| error.to_string())?;
        }
        Ok(Self { socket, dialect, frame: tone(CALLER_HZ) })
    }

    async fn press_zero(&mut self) -> Result<(), String> {
        self.talk_until(Instant::now() + Duration::from_millis(300), None).await?;
        for message in self.dialect.dtmf(Digit::new('0').ok_or("a key")?) {
            self.socket.send(message).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Talks and listens. Whether a tone of this pitch was heard.
    async fn talk_until(&mut self, until: Instant, listens_for: Option<f32>) -> Result<bool, String> {
        let mut pace = interval(Duration::from_millis(20));
        let mut heard = false;
        while Instant::now() < until {
            let mut out = Vec::new();
            tokio::select! {
                _ = pace.tick() => out = self.dialect.audio(&self.frame),
                message = self.socket.next() => {
                    let message = message.ok_or("the server hung up")?.map_err(|error| error.to_string())?;
                    for incoming in self.dialect.read(message) {
                        match incoming {
                            Incoming::Audio(pcm) => heard |= listens_for.is_some_and(|hz| share(&pcm, hz) > 0.3),
                            Incoming::Mark(name) => out.extend(self.dialect.mark(&name, false)),
                            Incoming::Clear => out.extend(self.dialect.cleared()),
                            Incoming::Reply(message) => out.push(message),
                            _ => {}
                        }
                    }
                }
            }
            for message in out {
                self.socket.send(message).await.map_err(|error| error.to_string())?;
            }
        }
        Ok(heard)
    }
}

struct Agent {
    socket: Socket,
    frame: Vec<u8>,
}

impl Agent {
    async fn connect(people: &People) -> Result<Self, String> {
        let url = format!("{}/agent/ws", people.base.replacen("http", "ws", 1));
        let mut request = url.into_client_request().map_err(|error| error.to_string())?;
        let token = format!("Bearer {}", people.tokens[0]);
        request.headers_mut().insert("authorization", token.parse().map_err(|_| "a token that is no header")?);
        let (socket, _) = connect_async_with_config(request, None, true).await.map_err(|error| error.to_string())?;
        let frame = tone(agent_hz(0)).iter().flat_map(|sample| sample.to_le_bytes()).collect();
        Ok(Self { socket, frame })
    }

    async fn say(&mut self, message: &FromAgent) -> Result<(), String> {
        let text = serde_json::to_string(message).map_err(|error| error.to_string())?;
        self.socket.send(Message::text(text)).await.map_err(|error| error.to_string())
    }

    async fn available(&mut self) -> Result<(), String> {
        // After a restart nobody is thought to be there: it has to be said again.
        let state = self.wait_for(|message| matches!(message, ToAgent::State { .. })).await?;
        if !matches!(state, ToAgent::State { state: AgentState::Offline, .. }) {
            return Err(format!("the agent begins as {state:?}"));
        }
        self.say(&FromAgent::SetState { state: AgentState::Available, code: None }).await
    }

    async fn wait_for(&mut self, wanted: impl Fn(&ToAgent) -> bool) -> Result<ToAgent, String> {
        loop {
            let message = self.socket.next().await.ok_or("the server hung up")?.map_err(|error| error.to_string())?;
            if let Message::Text(text) = message {
                let message: ToAgent = serde_json::from_str(&text).map_err(|error| error.to_string())?;
                if wanted(&message) {
                    return Ok(message);
                }
            }
        }
    }

    async fn take(&mut self) -> Result<(), String> {
        let offer = self.wait_for(|message| matches!(message, ToAgent::Offer(_))).await?;
        let ToAgent::Offer(offer) = offer else { return Err("no offer".to_owned()) };
        self.say(&FromAgent::Accept { offer_id: offer.offer_id }).await?;
        self.wait_for(|message| matches!(message, ToAgent::Connected { .. })).await.map(drop)
    }

    /// Talks and listens for so long. Whether the caller was heard.
    async fn talk(&mut self, span: Duration) -> Result<bool, String> {
        let until = Instant::now() + span;
        let mut pace = interval(Duration::from_millis(20));
        let mut heard = false;
        while Instant::now() < until {
            tokio::select! {
                _ = pace.tick() => {
                    self.socket.send(Message::binary(self.frame.clone())).await.map_err(|error| error.to_string())?;
                }
                message = self.socket.next() => {
                    let message = message.ok_or("the server hung up")?.map_err(|error| error.to_string())?;
                    if let Message::Binary(bytes) = message {
                        let pcm: Vec<i16> =
                            bytes.chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
                        heard |= share(&pcm, CALLER_HZ) > 0.3;
                    }
                }
            }
        }
        Ok(heard)
    }
}
