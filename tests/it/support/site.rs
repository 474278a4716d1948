//! The HTTP surface in memory: real router, real sign-in, SQLite in memory, no socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::routing;
use jiff::Timestamp;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use uuid::Uuid;
use warmline::call::CallId;
use warmline::config::{Config, TtsConfig};
use warmline::dialog::knowledge::Knowledge;
use warmline::engine::cpu::CpuBudget;
use warmline::engine::tts::fake::FakeVoice;
use warmline::engine::tts::voice::{Voice, VoiceOptions};
use warmline::handoff::actor::{self as desk, DeskSettings};
use warmline::handoff::{AgentId, HandoffId, HandoffReason};
use warmline::library::Library;
use warmline::live_plan::LivePlan;
use warmline::store::scribe;
use warmline::store::sqlite::SqliteStore;
use warmline::store::{
    CallOutcome, CallRecord, HandoffOutcome, HandoffRecord, MessageKind, MessageRecord, Store, UserRecord, UserRole,
};
use warmline::telemetry::{Pii, Secret};
use warmline::web::auth::{Auth, SignedIn};
use warmline::web::health::{EngineState, Readiness};
use warmline::web::router::{AppState, Parts, router};

/// Where requests come from unless told otherwise: not this machine.
pub const CLIENT: &str = "192.0.2.7";

/// A server without a socket.
pub struct Site {
    /// All routes.
    pub router: Router,
    /// What it remembers.
    pub store: Arc<dyn Store>,
    /// Who it lets in.
    pub auth: Auth,
    /// What it tells about itself.
    pub readiness: watch::Sender<Readiness>,
    /// Its data folder; recordings are under `recordings`.
    pub data: TempDir,
    _tasks: JoinSet<()>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The problem's code.
    #[track_caller]
    pub fn code(&self) -> String {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        self.json()["code"].as_str().expect("a problem has a code").to_owned()
    }

    /// `name=value` of the cookie set.
    #[track_caller]
    pub fn cookie(&self) -> String {
        let cookie = self.headers[header::SET_COOKIE].to_str().expect("text");
        cookie.split(';').next().expect("a cookie has a first part").to_owned()
    }
}

impl Site {
    /// With the default configuration.
    pub async fn new() -> Self {
        Self::with(Config::default()).await
    }

    /// With this configuration.
    pub async fn with(config: Config) -> Self {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().await.expect("opens"));
        let auth = Auth::new(store.clone(), &config.server);
        let ready = BTreeMap::from([("stt", EngineState::Ready), ("llm", EngineState::Off)]);
        let (readiness, readiness_seen) = watch::channel(Readiness { draining: false, engines: ready });
        let data = tempfile::tempdir().expect("a temporary folder");
        let recordings = data.path().join("recordings");
        std::fs::create_dir(&recordings).expect("made");
        let (scribe, writing) = scribe::open(store.clone());
        let (desk, running) = desk::open(DeskSettings::default(), scribe, CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(writing);
        tasks.spawn(running);
        let config = Arc::new(config);
        let live_plan = LivePlan::load(store.clone(), config.clone()).await.expect("readable");
        let state = AppState {
            store: store.clone(),
            config,
            auth: auth.clone(),
            metrics: PrometheusBuilder::new().build_recorder().handle(),
            readiness: readiness_seen,
            live_calls: Arc::new(|| 3),
            knowledge: Library::fixed(Knowledge::load(std::path::Path::new("")).expect("built in")),
            voice: Voice::new(Arc::new(FakeVoice::new()), CpuBudget::new(1), VoiceOptions::from(&TtsConfig::default())),
            desk,
            live_plan,
            phones: None,
            callbacks: warmline::outbound::callbacks::Callbacks::nowhere(),
            recordings,
        };
        let parts = Parts {
            agent: Router::new()
                .route("/agent/ws", routing::get(async |agent: SignedIn| agent.user.name))
                .with_state(auth.clone()),
            console: Router::new().route("/", routing::get(async || "the console")),
            ..Parts::default()
        };
        Self { router: router(Arc::new(state), parts), store, auth, readiness, data, _tasks: tasks }
    }

    /// An account without a password of its own; [`Site::signed_in`] lets it in.
    pub async fn user(&self, name: &str, role: UserRole) -> UserRecord {
        let user = UserRecord {
            id: AgentId(format!("id-of-{name}")),
            name: name.to_owned(),
            password_hash: Secret::new("never verified".to_owned()),
            role,
            must_change_password: false,
        };
        self.store.add_user(&user).await.expect("added");
        user
    }

    /// The cookie of a new session.
    pub async fn signed_in(&self, user: &UserRecord) -> String {
        let session = self.auth.begin_session(user.clone()).await.expect("begun");
        format!("{}={}", session.cookie.name(), session.cookie.value())
    }

    /// An account of this role, signed in.
    pub async fn role(&self, role: UserRole) -> String {
        let user = self.user(&format!("some-{}", role.as_str()), role).await;
        self.signed_in(&user).await
    }

    /// Sends any request; without an address it comes from [`CLIENT`].
    pub async fn send(&self, mut request: Request<Body>) -> Answer {
        if request.extensions().get::<ConnectInfo<SocketAddr>>().is_none() {
            request.extensions_mut().insert(ConnectInfo(address(CLIENT)));
        }
        let response = self.router.clone().oneshot(request).await.expect("the router answers everything");
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 10_000_000).await.expect("readable");
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Sends a request with a cookie (or none) and JSON (or `Value::Null` for none).
    pub async fn request(&self, method: Method, path: &str, cookie: &str, body: Value) -> Answer {
        self.send(request(method, path, cookie, body)).await
    }

    /// GET with a cookie.
    pub async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.request(Method::GET, path, cookie, Value::Null).await
    }

    /// POST with a cookie.
    pub async fn post(&self, path: &str, cookie: &str, body: Value) -> Answer {
        self.request(Method::POST, path, cookie, body).await
    }

    /// Stores a call that ended, taken by `agent`.
    pub async fn call(&self, agent: Option<&UserRecord>) -> CallRecord {
        let call = CallRecord {
            id: CallId::generate(),
            provider: "twilio".to_owned(),
            provider_call_id: "CA1".to_owned(),
            from: Some(Pii::new("+15550001234".to_owned())),
            to: Some(Pii::new("+15550009876".to_owned())),
            started_at: Timestamp::UNIX_EPOCH,
            ended_at: Some(Timestamp::UNIX_EPOCH),
            outcome: CallOutcome::SpokeWithAgent,
            recording: None,
            notice_at_ms: None,
        };
        self.store.put_call(&call).await.expect("stored");
        if let Some(agent) = agent {
            let handoff = HandoffRecord {
                id: HandoffId::generate(),
                call_id: call.id,
                reason: HandoffReason::CallerAsked,
                summary: vec![],
                requested_at: Timestamp::UNIX_EPOCH,
                bridged_at: None,
                ended_at: None,
                outcome: HandoffOutcome::Bridged,
                agent_id: Some(agent.id.clone()),
                queue: None,
                continues: None,
            };
            self.store.put_handoff(&handoff).await.expect("stored");
        }
        call
    }

    /// Stores a callback wish of a call.
    pub async fn message(&self, call: CallId) -> MessageRecord {
        let message = MessageRecord {
            id: Uuid::now_v7(),
            call_id: call,
            kind: MessageKind::Callback,
            created_at: Timestamp::UNIX_EPOCH,
            number: Some(Pii::new("+15550001234".to_owned())),
            recording: Some("message.wav".to_owned()),
            text: None,
            done_by: None,
            done_at: None,
        };
        self.store.put_message(&message).await.expect("stored");
        message
    }

    /// Puts a file into the recordings folder.
    pub fn record(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.data.path().join("recordings").join(name), bytes).expect("written");
    }
}

/// A request with a cookie (or none) and JSON (or `Value::Null` for none).
pub fn request(method: Method, path: &str, cookie: &str, body: Value) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "warmline.test");
    if !cookie.is_empty() {
        request = request.header(header::COOKIE, cookie);
    }
    let body = match body {
        Value::Null => Body::empty(),
        json => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Body::from(json.to_string())
        }
    };
    request.body(body).expect("a valid request")
}

/// A socket's other end.
pub fn address(ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse().expect("an address"), 40_000)
}
