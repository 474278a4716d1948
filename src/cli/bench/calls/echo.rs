//! A server whose calls send every frame back: the media path without what listens and speaks.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::without_delay;
use crate::call::CallId;
use crate::call::handle::{AdmitError, CallHandle, CallOpener, LegIo};
use crate::cli::{CliError, say};
use crate::config::Config;
use crate::telemetry::Secret;
use crate::telephony::protocol::{MediaCommand, StreamStart};
use crate::web::gate::Gate;
use crate::web::media::{self, MediaState};
use crate::web::webhooks::{self, Admission, WebhookState};

/// What both helper processes sign with.
pub(super) const SECRET: &str = "bench";

/// Serves until the process is ended, and prints where.
pub(super) async fn serve(mut config: Config) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::failed(format!("no port on the loopback: {error}"), "");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    config.server.listen = address;
    config.server.public_url = String::new();
    config.server.calls_per_minute_per_caller = 1_000_000;
    config.providers.twilio.auth_token = Secret::new(SECRET.to_owned());
    let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
    let gate = Arc::new(Gate::new(&config));
    let opener = Arc::new(Echo { tracker: tracker.clone(), cancel: cancel.clone() });
    let state = MediaState::new(gate.clone(), opener.clone(), tracker, cancel);
    let app = media::routes(state).merge(webhooks::routes(WebhookState::new(&config, gate, opener)));
    say(format!("http://{address}"))?;
    axum::serve(without_delay(listener), app.into_make_service_with_connect_info::<SocketAddr>()).await.map_err(failed)
}

struct Echo {
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Admission for Echo {
    fn admit(&self) -> Result<(), AdmitError> {
        Ok(())
    }
}

impl CallOpener for Echo {
    fn open(&self, _: &'static str, _: StreamStart, mut leg: LegIo) -> Result<CallHandle, AdmitError> {
        let cancel = self.cancel.child_token();
        let ended = cancel.clone();
        self.tracker.spawn(async move {
            loop {
                tokio::select! {
                    frame = leg.frames.recv() => {
                        let Some(frame) = frame else { break };
                        if leg.commands.send(MediaCommand::Audio(frame)).await.is_err() {
                            break;
                        }
                    }
                    event = leg.events.recv() => if event.is_none() {
                        break;
                    },
                    () = ended.cancelled() => break,
                }
            }
        });
        Ok(CallHandle { id: CallId::generate(), cancel })
    }
}
