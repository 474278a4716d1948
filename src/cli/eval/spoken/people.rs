//! People at the desk who take every caller they are offered, listen in silence and write their note: one socket of
//! `docs/agent-protocol.md` each, for the whole run, on duty or not as the scenario says.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use tokio_util::sync::CancellationToken;

use crate::audio::units::{Millis, SampleRate};
use crate::cli::CliError;
use crate::handoff::wire::{AgentState, FromAgent, ToAgent};
use crate::telemetry::Secret;

/// How long anybody may take to get where they should be: the note of the last call included.
const PATIENCE: Duration = Duration::from_secs(60);
const PING: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What a person is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    /// As the server says; none before it said something.
    state: Option<AgentState>,
}

impl Standing {
    /// On the way to a caller, or with one.
    fn is_taken(self) -> bool {
        matches!(self.state, Some(AgentState::Reserved | AgentState::OnContact))
    }
}

struct Person {
    on_duty: watch::Sender<bool>,
    standing: watch::Receiver<Standing>,
}

/// All of them. Dropping it closes their sockets.
pub struct People {
    people: Vec<Person>,
    leave: CancellationToken,
    tasks: JoinSet<()>,
}

impl People {
    /// One socket for each token, nobody on duty yet.
    pub async fn connect(base: &str, tokens: &[Secret<String>]) -> Result<Self, CliError> {
        let (leave, mut tasks, mut people) = (CancellationToken::new(), JoinSet::new(), Vec::new());
        for token in tokens {
            let failed = |error| CliError::failed(format!("an agent's socket can't be opened: {error}"), "");
            let socket = connect(base, token).await.map_err(failed)?;
            let (on_duty, wanted) = watch::channel(false);
            let (told, standing) = watch::channel(Standing::default());
            let leave = leave.clone();
            tasks.spawn(async move {
                if let Err(error) = work(socket, wanted, told, leave).await {
                    tracing::warn!(%error, "An agent of a scripted call lost the connection");
                }
            });
            people.push(Person { on_duty, standing });
        }
        Ok(Self { people, leave, tasks })
    }

    /// So many are on duty and free, the others are off.
    pub async fn staff(&mut self, count: usize) -> Result<(), CliError> {
        for (number, person) in self.people.iter_mut().enumerate() {
            let wanted = if number < count { AgentState::Available } else { AgentState::Offline };
            person.on_duty.send_replace(wanted == AgentState::Available);
            let there = person.standing.wait_for(|standing| standing.state == Some(wanted));
            match timeout(PATIENCE, there).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Err(CliError::failed("an agent's socket was closed", "")),
                Err(_) => return Err(CliError::failed(format!("an agent did not become {}", wanted.as_str()), "")),
            }
        }
        Ok(())
    }

    /// Somebody is on the way to a caller, or with one.
    pub fn is_taken(&self) -> bool {
        self.people.iter().any(|person| person.standing.borrow().is_taken())
    }

    /// Closes the sockets.
    pub async fn leave(mut self) {
        self.leave.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn connect(base: &str, token: &Secret<String>) -> Result<Socket, tungstenite::Error> {
    let mut request = format!("{}/agent/ws", base.replacen("http", "ws", 1)).into_client_request()?;
    let token = format!("Bearer {}", token.expose());
    request.headers_mut().insert("authorization", token.parse().map_err(tungstenite::http::Error::from)?);
    Ok(connect_async_with_config(request, None, true).await?.0)
}

async fn work(
    mut socket: Socket,
    mut wanted: watch::Receiver<bool>,
    told: watch::Sender<Standing>,
    leave: CancellationToken,
) -> Result<(), tungstenite::Error> {
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut frames = interval(Millis::FRAME.duration());
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let silence = Message::binary(vec![0; 2 * SampleRate::WIDEBAND.samples_in(Millis::FRAME)]);
    let (mut dispositions, mut is_connected) = (Vec::new(), false);
    loop {
        let answer = tokio::select! {
            () = leave.cancelled() => return socket.close(None).await,
            changed = wanted.changed() => match changed {
                Ok(()) => told.borrow().state.and_then(|state| wish(state, *wanted.borrow())),
                Err(_) => return socket.close(None).await,
            },
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                    Ok(ToAgent::Hello { dispositions: choices, .. }) => {
                        dispositions = choices;
                        None
                    }
                    Ok(ToAgent::State { state, .. }) => {
                        told.send_replace(Standing { state: Some(state) });
                        wish(state, *wanted.borrow())
                    }
                    Ok(message) => {
                        match message {
                            ToAgent::Connected { .. } => is_connected = true,
                            ToAgent::CallEnded { .. } => is_connected = false,
                            _ => {}
                        }
                        answer(message, &dispositions)
                    }
                    Err(_) => None,
                },
                Some(Ok(_)) => None,
                Some(Err(error)) => return Err(error),
                None => return Err(tungstenite::Error::ConnectionClosed),
            },
            _ = pings.tick() => Some(FromAgent::Ping { n: 1 }),
            // A microphone from which nothing comes is a fault of the line.
            _ = frames.tick(), if is_connected => {
                socket.send(silence.clone()).await?;
                None
            }
        };
        if let Some(answer) = answer {
            let text = serde_json::to_string(&answer).expect("messages are plain data");
            socket.send(Message::text(text)).await?;
        }
    }
}

/// What somebody in this state asks for to be on duty, or off.
fn wish(state: AgentState, on_duty: bool) -> Option<FromAgent> {
    let choose = |state| Some(FromAgent::SetState { state, code: None });
    match (state, on_duty) {
        (AgentState::Offline | AgentState::Break, true) => choose(AgentState::Available),
        (AgentState::Available | AgentState::Break, false) => choose(AgentState::Offline),
        (AgentState::Missed | AgentState::Error, _) => Some(FromAgent::AcknowledgeMissed),
        _ => None,
    }
}

fn answer(message: ToAgent, dispositions: &[String]) -> Option<FromAgent> {
    match message {
        ToAgent::Offer(offer) => Some(FromAgent::Accept { offer_id: offer.offer_id }),
        ToAgent::CallEnded { call_id, .. } => Some(FromAgent::WrapUp {
            call_id,
            note: "A scripted call.".to_owned(),
            disposition: dispositions.first().cloned().unwrap_or_default(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_gets_on_duty_and_off_from_wherever_they_are() {
        let wanted = |state, on_duty| match wish(state, on_duty) {
            Some(FromAgent::SetState { state, .. }) => Some(state),
            Some(FromAgent::AcknowledgeMissed) => Some(AgentState::Missed),
            _ => None,
        };
        assert_eq!(wanted(AgentState::Offline, true), Some(AgentState::Available));
        assert_eq!(wanted(AgentState::Available, false), Some(AgentState::Offline));
        assert_eq!(wanted(AgentState::Missed, true), Some(AgentState::Missed));
        // There already, or busy: what follows tells.
        for (state, on_duty) in [
            (AgentState::Offline, false),
            (AgentState::Available, true),
            (AgentState::WrapUp, false),
            (AgentState::OnContact, true),
        ] {
            assert_eq!(wanted(state, on_duty), None, "{state:?}");
        }
    }
}
