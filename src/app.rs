//! The composition root: picks engines and store, joins the parts, owns the order of starting and stopping.

pub(crate) mod engines;
mod gauges;
mod routing_file;
mod tongues;

pub use self::engines::OwnEngines;
pub use self::tongues::check as check_languages;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{State, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use axum::serve::{ListenerExt as _, TapIo};
use jiff::{SignedDuration, Timestamp};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use crate::audio::units::Probability;
use crate::call::actor::{CallServices, CallSettings};
use crate::call::away::Away;
use crate::call::directory::Directory;
use crate::call::handle::AdmitError;
use crate::call::input::TransferNews;
use crate::call::returning::Returning;
use crate::cli::CliError;
use crate::config::Config;
use crate::engine::tts::voice::Voice;
use crate::handoff::actor::ledger::left_behind;
use crate::handoff::actor::{self as desk, DeskHandle, DeskSettings};
use crate::handoff::callback::Rules;
use crate::handoff::routing::hours::Calendar;
use crate::library::Library;
use crate::live_plan::LivePlan;
use crate::outbound::Dialler;
use crate::outbound::callbacks::{self, Callbacks, Means};
use crate::outbound::phone_agents::{self, PhoneAgents};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, scribe};
use crate::telemetry;
use crate::web::auth::{Accounts, Auth, OneTimePassword, SignedIn};
use crate::web::console;
use crate::web::gate::Gate;
use crate::web::health::{EngineState, Readiness};
use crate::web::media::{self, MediaState};
use crate::web::outbound::Outbound;
use crate::web::router::{AppState, Parts, router};
use crate::web::webhooks::{self, Admission, WebhookState};

/// How long goodbyes may take after the grace for live calls is over.
const GOODBYE_GRACE: Duration = Duration::from_secs(10);
/// How long records, sockets and engines may take to close.
const CLOSE_GRACE: Duration = Duration::from_secs(5);
/// A server that listens.
pub struct App {
    /// Where.
    pub address: SocketAddr,
    /// The first administrator, made at the first start.
    pub first_admin: Option<OneTimePassword>,
    /// How the process is doing.
    pub readiness: watch::Receiver<Readiness>,
    preparing: watch::Receiver<usize>,
    serving: TaskTracker,
    calls: TaskTracker,
    directory: Arc<Directory>,
    ready: Arc<watch::Sender<Readiness>>,
    stop_calls: CancellationToken,
    stop_all: CancellationToken,
    drain_grace: Duration,
}

impl Admission for Directory {
    fn admit(&self) -> Result<(), AdmitError> {
        self.room()
    }

    fn is_away(&self, provider: &'static str, call_id: &str) -> bool {
        Self::is_away(self, provider, call_id)
    }

    fn is_returning(&self, provider: &'static str, call_id: &str) -> bool {
        Self::is_returning(self, provider, call_id)
    }

    fn answered(&self, provider: &'static str, key: &str, call_id: &str) -> bool {
        Self::answered(self, provider, key, call_id)
    }

    fn transferred(&self, provider: &'static str, call_id: &str, news: TransferNews) {
        Self::transferred(self, provider, call_id, news);
    }
}

impl App {
    /// Loads everything and listens. Engines warm up while calls are taken already.
    pub async fn start(config: Config) -> Result<Self, CliError> {
        Self::begin(config, None).await
    }

    /// The same with other ears and another mouth than the configuration names.
    pub async fn start_with(config: Config, engines: OwnEngines) -> Result<Self, CliError> {
        Self::begin(config, Some(engines)).await
    }

    async fn begin(mut config: Config, own: Option<OwnEngines>) -> Result<Self, CliError> {
        let listener = bind(config.server.listen).await?;
        let address = listener.local_addr().unwrap_or(config.server.listen);
        // Port 0 is any that is free: addresses that are given to others name the one it became.
        config.server.listen = address;
        let config = Arc::new(config);
        let recordings = config.server.data_dir.join("recordings");
        std::fs::create_dir_all(&recordings).map_err(|error| {
            CliError::usage(
                format!("folder {} can't be made: {error}", recordings.display()),
                "Set `server.data_dir` to a folder this user may write to.",
            )
        })?;
        let metrics = telemetry::install_metrics()
            .map_err(|error| CliError::failed(format!("metrics could not be set up: {error}"), ""))?;
        let store: Arc<dyn Store> = Arc::new(
            SqliteStore::open(&config.database.url, &config.server.data_dir)
                .await
                .map_err(|error| CliError::usage(error.to_string(), "Check `database.url` and `server.data_dir`."))?,
        );
        // Of the last process, and of one before it that died so shortly before that its callers may still be on their way.
        let patience = SignedDuration::from_secs(config.handoff.restart_patience_s.into());
        let since = Timestamp::now().checked_sub(patience).unwrap_or(Timestamp::UNIX_EPOCH);
        let returning = match store.cut_off_calls(since).await {
            Ok(calls) => Arc::new(Returning::of(calls)),
            Err(error) => {
                warn!(%error, "Callers of an earlier process can't be known again");
                Arc::default()
            }
        };
        match store.close_orphans(Timestamp::now()).await {
            Ok(0) => {}
            Ok(calls) => warn!(calls, "Calls of an earlier process that did not end properly are closed"),
            Err(error) => warn!(%error, "Calls of an earlier process could not be closed"),
        }
        settle_stands(store.as_ref(), &config).await;
        let accounts = Accounts::new(store.clone());
        let first_admin = accounts
            .ensure_first_admin()
            .await
            .map_err(|error| CliError::failed(format!("the first administrator could not be made: {error}"), ""))?;

        let (serving, calls) = (TaskTracker::new(), TaskTracker::new());
        let (stop_calls, stop_all) = (CancellationToken::new(), CancellationToken::new());
        let (ready, readiness) = watch::channel(Readiness::default());
        let ready = Arc::new(ready);

        let sentences = tongues::Sentences::load(&config)?;
        let engines = engines::start(&config, own, sentences, &ready, &serving, &stop_all).await?;

        let live_plan = LivePlan::load(store.clone(), config.clone())
            .await
            .map_err(|error| CliError::failed(format!("what was changed in the console can't be read: {error}"), ""))?;
        let (scribe, writing) = scribe::open(store.clone());
        serving.spawn(writing);
        let desk_settings = DeskSettings {
            plan: live_plan.plan(),
            dispositions: config.handoff.dispositions.clone(),
            language: config.stt.language.clone(),
            tells_supervised: config.handoff.tell_supervised,
            writer: Some(engines.mind.clone()),
            outside: config.handoff.outside.clone(),
            park_limit: Duration::from_secs(config.handoff.park_limit_s.into()),
            claims: Some(store.clone()),
        };
        let (desk, running) = desk::open(desk_settings, scribe.clone(), stop_all.clone());
        serving.spawn(running);
        if let Some(file) = config.file.clone() {
            serving.spawn(routing_file::watch(file, live_plan.clone(), desk.clone(), stop_all.clone()));
        }
        serving.spawn(gauges::keep(store.clone(), desk.clone(), stop_all.clone()));

        let knowledge = engines.mind.knowledge.clone();
        let away: Arc<Away> = Arc::default();
        let (callbacks, wishes) = callbacks::channel();
        let rules = callback_rules(&config)?;
        let gate = Arc::new(Gate::new(&config));
        let services = Arc::new(CallServices {
            vad: engines.vad,
            stt: engines.stt,
            tongues: engines.tongues,
            mind: engines.mind,
            desk: desk.clone(),
            away: away.clone(),
            callbacks: callbacks.clone(),
            returning: returning.clone(),
            scribe: scribe.clone(),
            settings: settings(&config, recordings.clone()),
        });
        let directory = Arc::new(Directory::new(services, config.server.max_calls, calls.clone(), stop_calls.clone()));
        let means_scribe = scribe.clone();
        let dialler: Arc<dyn Dialler> = Arc::new(Outbound::new(gate.clone(), &config.outbound.provider));
        if !config.outbound.provider.is_empty() && dialler.through(None).is_none() {
            let problem = format!("`outbound.provider` is {:?}, whose API is not configured", config.outbound.provider);
            return Err(CliError::usage(problem, "Its section needs the settings of docs/providers/README.md."));
        }
        let phones = dialler.through(None).map(|provider| {
            let (phones, wishes) = phone_agents::channel();
            let means = phone_agents::Means {
                desk: desk.clone(),
                dialler: dialler.clone(),
                provider,
                away: away.clone(),
                voice: engines.voice.clone(),
            };
            serving.spawn(phone_agents::run(means, wishes, stop_all.clone()));
            phones
        });
        let means = Means {
            desk: desk.clone(),
            dialler,
            away,
            directory: directory.clone(),
            store: store.clone(),
            scribe,
            rules,
            hours: callback_hours(&config, &live_plan),
        };
        serving.spawn(callbacks::run(means, wishes, stop_all.clone()));
        serving.spawn(callbacks::for_those_cut_off(
            returning,
            callbacks.clone(),
            means_scribe,
            Duration::from_secs(config.handoff.restart_patience_s.into()),
            stop_all.clone(),
        ));
        let app = routes(Surface {
            config: config.clone(),
            gate,
            callbacks,
            phones,
            store,
            metrics,
            recordings,
            knowledge,
            readiness: readiness.clone(),
            directory: directory.clone(),
            voice: engines.voice,
            desk,
            live_plan,
            sockets: serving.clone(),
            stop: stop_all.clone(),
        });
        let stopping = stop_all.clone();
        serving.spawn(async move {
            let service = app.into_make_service_with_connect_info::<SocketAddr>();
            let serve =
                axum::serve(without_delay(listener), service).with_graceful_shutdown(stopping.cancelled_owned());
            if let Err(error) = serve.await {
                tracing::error!(%error, "The server stopped listening");
            }
        });
        info!(%address, "Listening");
        Ok(Self {
            address,
            first_admin,
            readiness,
            preparing: engines.preparing,
            serving,
            calls,
            directory,
            ready,
            stop_calls,
            stop_all,
            drain_grace: Duration::from_secs(config.server.drain_grace_s.into()),
        })
    }

    /// Waits until calls are answered as they should be, or an engine is known to be unusable.
    pub async fn warmed_up(&mut self) {
        // Only fails when the sender is gone, and this owns it.
        let _ = self.readiness.wait_for(|readiness| readiness.reasons().is_empty()).await;
    }

    /// Waits until everything that can be made before it is needed has been made: phrases, beginnings of prompts.
    pub async fn prepared(&mut self) {
        // Only fails when the preparations are gone, which is as good as done.
        let _ = self.preparing.wait_for(|left| *left == 0).await;
    }

    /// The whole shutdown in reading order.
    pub async fn stop(self) {
        info!(live = self.directory.live(), "Stopping: no new calls");
        self.directory.close(); // 1. refuse new calls, readiness goes false
        self.ready.send_modify(|readiness| readiness.draining = true);
        self.calls.close();
        if timeout(self.drain_grace, self.calls.wait()).await.is_err() {
            self.directory.stop_all(); // 2. live calls say goodbye
            if timeout(GOODBYE_GRACE, self.calls.wait()).await.is_err() {
                self.stop_calls.cancel(); // 3. the rest are cut off; their records are written
                let _ = timeout(CLOSE_GRACE, self.calls.wait()).await;
            }
        }
        self.stop_all.cancel(); // 4. sockets, desk, engines
        drop(self.directory); // 5. the last hold on the scribe: it writes what is left and ends
        self.serving.close();
        if timeout(CLOSE_GRACE, self.serving.wait()).await.is_err() {
            warn!("Some tasks did not end in time");
        }
        info!("Stopped");
    }
}

/// Small messages leave at once: waiting for a peer's acknowledgement would hold a frame back for up to 40 ms.
pub(crate) fn without_delay(listener: TcpListener) -> TapIo<TcpListener, fn(&mut TcpStream)> {
    listener.tap_io(|socket| {
        if let Err(error) = socket.set_nodelay(true) {
            debug!(%error, "A socket can't be set to send at once");
        }
    })
}

async fn bind(address: SocketAddr) -> Result<TcpListener, CliError> {
    // A predecessor may need a moment to let go of the port.
    let patience = Instant::now() + Duration::from_millis(500);
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(_) if Instant::now() < patience => sleep(Duration::from_millis(100)).await,
            Err(error) => {
                return Err(CliError::usage(
                    format!("can't listen on {address}: {error}"),
                    "Stop the program that holds the port, or set `server.listen` to another address.",
                ));
            }
        }
    }
}

/// What agents did when an earlier process died is their paid time.
async fn settle_stands(store: &dyn Store, config: &Config) {
    let codes = config.routing.plan(&config.handoff).break_codes;
    let settle = async {
        for entry in left_behind(store.take_stands().await?, &codes) {
            store.put_ledger(&entry).await?;
        }
        Ok::<_, crate::store::StoreError>(())
    };
    if let Err(error) = settle.await {
        warn!(%error, "Agents' time in an earlier process could not be written down");
    }
}

fn callback_rules(config: &Config) -> Result<Rules, CliError> {
    let handoff = &config.handoff;
    let hours = match handoff.callback_hours.as_str() {
        "" => None,
        name => Some(config.routing.calendar(name).ok_or_else(|| {
            CliError::usage(
                format!("`handoff.callback_hours`: there is no calendar `{name}`"),
                "Name one of `routing.calendars`, or leave it empty.",
            )
        })?),
    };
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    Ok(Rules {
        first: handoff.callback_first,
        attempts: handoff.callback_attempts,
        pause: seconds(handoff.callback_pause_s),
        expires: seconds(handoff.callback_expires_s),
        hours,
    })
}

/// When people are called back, as it is whenever that is asked.
fn callback_hours(config: &Config, live_plan: &LivePlan) -> Box<dyn Fn() -> Option<Calendar> + Send + Sync> {
    let (name, live_plan) = (config.handoff.callback_hours.clone(), live_plan.clone());
    Box::new(move || if name.is_empty() { None } else { live_plan.calendar(&name) })
}

fn settings(config: &Config, recordings: PathBuf) -> CallSettings {
    CallSettings {
        turn: config.turn.clone(),
        sound: config.sound.clone(),
        handoff: config.handoff.clone(),
        vad_threshold: Probability::clamped(config.vad.threshold),
        recordings,
        record: config.recording.enabled,
        hints: config.stt.all_hints(),
        names: config.stt.hints.clone().into(),
        stt_deadline: Duration::from_millis(config.stt.deadline_ms.into()),
    }
}

/// What the HTTP surface is made of.
struct Surface {
    config: Arc<Config>,
    gate: Arc<Gate>,
    callbacks: Callbacks,
    phones: Option<PhoneAgents>,
    store: Arc<dyn Store>,
    metrics: metrics_exporter_prometheus::PrometheusHandle,
    recordings: PathBuf,
    knowledge: Library,
    readiness: watch::Receiver<Readiness>,
    directory: Arc<Directory>,
    voice: Voice,
    desk: DeskHandle,
    live_plan: LivePlan,
    sockets: TaskTracker,
    stop: CancellationToken,
}

fn routes(surface: Surface) -> Router {
    let Surface {
        config,
        gate,
        callbacks,
        phones,
        store,
        metrics,
        recordings,
        knowledge,
        readiness,
        directory,
        voice,
        desk,
        live_plan,
        sockets,
        stop,
    } = surface;
    let auth = Auth::new(store.clone(), &config.server);
    let hooks = WebhookState::new(&config, gate.clone(), directory.clone())
        .with_voice(voice.clone())
        .with_sockets(sockets.clone(), stop.clone());
    let media = MediaState::new(gate, directory.clone(), sockets.clone(), stop.clone());
    let parts = Parts {
        media: media::routes(media.with_mover(Arc::new(hooks.clone()))),
        webhooks: webhooks::routes(hooks),
        agent: agent_routes(AgentState { desk: desk.clone(), auth: auth.clone(), sockets, stop }),
        console: console::routes(&config.browser.widget_origins),
    };
    let live = directory;
    let state = AppState {
        store,
        config,
        auth,
        metrics,
        readiness,
        live_calls: Arc::new(move || live.live()),
        knowledge,
        voice,
        desk,
        live_plan,
        phones,
        callbacks,
        recordings,
    };
    router(Arc::new(state), parts)
}

#[derive(Clone)]
struct AgentState {
    desk: DeskHandle,
    auth: Auth,
    sockets: TaskTracker,
    stop: CancellationToken,
}

impl axum::extract::FromRef<AgentState> for Auth {
    fn from_ref(state: &AgentState) -> Self {
        state.auth.clone()
    }
}

fn agent_routes(state: AgentState) -> Router {
    Router::new().route("/agent/ws", get(agent_socket)).with_state(state)
}

async fn agent_socket(
    SignedIn { user, .. }: SignedIn,
    State(state): State<AgentState>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let run = move |socket| {
        let AgentState { desk, sockets, stop, .. } = state;
        sockets.track_future(crate::web::agent::run(socket, user, desk, stop))
    };
    upgrade
        .max_message_size(crate::web::agent::MAX_MESSAGE)
        .max_frame_size(crate::web::agent::MAX_MESSAGE)
        .read_buffer_size(crate::web::media::READ_BUFFER)
        .on_upgrade(run)
}

/// Sets how one engine is doing.
fn report(ready: &watch::Sender<Readiness>, engine: &'static str, state: EngineState) {
    ready.send_modify(|readiness| {
        readiness.engines.insert(engine, state);
    });
}
