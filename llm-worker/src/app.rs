//! Composition: binds, loads the model in the engine's thread, serves, and owns the order of shutting down.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tracing::{error, info};

use crate::api::{self, ApiState, Token};
use crate::engine::{Engine, EngineError, Event, JobQueue, Policy, Status};
use crate::lifeline::Lifeline;
use crate::model::{Backend, Frontend};

/// After this the process ends even if a connection or the model does not.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// What [`serve`] needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: SocketAddr,
    pub token: Option<Token>,
    pub queue: usize,
    pub policy: Policy,
}

/// Why the worker could not run, or stopped running.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot watch for signals")]
    Signals(#[source] std::io::Error),
    #[error("cannot start the engine's thread")]
    Thread(#[source] std::io::Error),
    #[error("the model cannot be loaded")]
    Load(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the engine's thread ended unexpectedly")]
    EngineDied,
    #[error("the HTTP server failed")]
    Http(#[source] std::io::Error),
}

/// Both halves of a loaded model.
pub type Loaded<B> = (Arc<dyn Frontend>, B);

/// Runs until a signal comes or the parent dies.
///
/// `load` runs in the engine's thread, because the model's computing half stays there; it should give up when the flag
/// is raised. `announce` is told the bound address at once, before the model is loaded.
pub async fn serve<B: Backend + 'static>(
    settings: Settings,
    mut lifeline: Lifeline,
    load: impl FnOnce(Arc<AtomicBool>) -> Result<Loaded<B>, Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    announce: impl FnOnce(SocketAddr),
) -> Result<(), AppError> {
    let address = settings.listen;
    let failed = |source| AppError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    announce(listener.local_addr().map_err(failed)?);

    let state = ApiState {
        model: Arc::new(OnceLock::new()),
        queue: Arc::new(JobQueue::new(settings.queue)),
        status: Arc::new(Status::default()),
        token: settings.token,
    };
    let give_up = Arc::new(AtomicBool::new(false));
    let (ended, mut engine_ended) = oneshot::channel::<Result<(), AppError>>();
    {
        let (state, give_up, policy) = (state.clone(), Arc::clone(&give_up), settings.policy);
        let thread = std::thread::Builder::new().name("engine".into());
        thread
            .spawn(move || {
                let result = load(give_up).map_err(AppError::Load).map(|(frontend, backend)| {
                    info!(llm.model = frontend.id(), "Model loaded");
                    let engine = Engine::new(backend, Arc::clone(&state.queue), Arc::clone(&state.status), policy);
                    // The engine is there before the first request can be.
                    let _ = state.model.set(frontend);
                    engine.run();
                });
                let _ = ended.send(result);
            })
            .map_err(AppError::Thread)?;
    }

    let (stop, mut stopped) = watch::channel(false);
    let http = axum::serve(listener, api::router(state.clone())).with_graceful_shutdown(async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    });
    let mut http = std::pin::pin!(http.into_future());
    let engine_result = tokio::select! {
        reason = lifeline.cut() => {
            info!(?reason, "Stopping");
            None
        }
        result = &mut engine_ended => Some(result.unwrap_or(Err(AppError::EngineDied))),
        result = &mut http => return result.map_err(AppError::Http),
    };

    // 1. refuse new requests, end the waiting and the running one with an error
    for job in state.queue.close() {
        let _ = job.events.try_send(Event::Failed(EngineError::ShuttingDown));
    }
    give_up.store(true, Ordering::Relaxed);
    // 2. let the answers out
    let _ = stop.send(true);
    if tokio::time::timeout(SHUTDOWN_GRACE, &mut http).await.is_err() {
        error!("A connection did not end in time");
    }
    // 3. free the model; its thread may be in native code, so not for ever
    match engine_result {
        Some(Ok(())) => Err(AppError::EngineDied),
        Some(Err(error)) => Err(error),
        None => {
            if tokio::time::timeout(SHUTDOWN_GRACE, engine_ended).await.is_err() {
                error!("The engine did not end in time");
            }
            Ok(())
        }
    }
}
