//! The whole server in this process with several people at consoles, and engines made of tones: everything the assistant says
//! is one, and nothing is understood.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use warmline::app::{App, OwnEngines};
use warmline::audio::units::{Millis, SampleRate};
use warmline::cli::call::player::CallPlayer;
use warmline::config::Config;
use warmline::engine::CancelFlag;
use warmline::engine::stt::fake::FakeStt;
use warmline::engine::tts::{TextToSpeech, TtsError};
use warmline::engine::vad::fake::FakeVad;
use warmline::store::sqlite::SqliteStore;
use warmline::store::{Store, UserRecord, UserRole};
use warmline::web::auth::Accounts;

use super::agent::Agent;
pub use super::front_desk::PATIENCE;
use super::front_desk::ended;
use super::tones::{best_share, tone};

/// Everything the assistant says.
pub const ASSISTANT_HZ: f32 = 700.0;
/// The caller.
pub const CALLER_HZ: f32 = 1_000.0;
/// The agent.
pub const AGENT_HZ: f32 = 440.0;
/// Somebody else.
pub const BOSS_HZ: f32 = 1_500.0;

/// Says everything with a tone of a second.
struct Mouth;

impl TextToSpeech for Mouth {
    fn speak(&self, _: &str, _: &CancelFlag, sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>) -> Result<(), TtsError> {
        let _ = sink(&tone(ASSISTANT_HZ, Millis(1_000)));
        Ok(())
    }

    fn name(&self) -> &str {
        "a tone"
    }
}

/// The server, and accounts at it.
pub struct Office {
    pub app: App,
    pub base: String,
    pub folder: tempfile::TempDir,
    database: String,
    http: reqwest::Client,
}

impl Office {
    /// Opens it, with these sections of the configuration besides.
    pub async fn open(more: &str) -> Self {
        warmline::engine::llm::openai::install_crypto();
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Whoever is on the line when a test is over need not say goodbye for long.
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = {:?}\ndrain_grace_s = 1\n[llm]\nengine = \"off\"\n[dialog]\nembedding = \"\"\n{more}",
            folder.path()
        );
        let config = Config::parse(&text, std::iter::empty()).expect("valid");
        let database = config.database.url.clone();
        // Tones are not speech: nobody barges in.
        let engines = OwnEngines {
            vad: Arc::new(FakeVad::loudness(32_000)),
            stt: Arc::new(FakeStt::saying(Vec::<String>::new())),
            tts: Arc::new(Mouth),
        };
        let mut app = App::start_with(config, engines).await.expect("starts");
        tokio::time::timeout(PATIENCE, app.warmed_up()).await.expect("warms up");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { base: format!("http://{}", app.address), app, folder, database, http }
    }

    /// A token of a new account.
    pub async fn token(&self, name: &str, role: UserRole) -> String {
        let store = SqliteStore::open(&self.database, self.folder.path()).await.expect("opens");
        let store: Arc<dyn Store> = Arc::new(store);
        let accounts = Accounts::new(store.clone());
        let (user, _) = accounts.add(name, role).await.expect("added");
        store.update_user(&UserRecord { must_change_password: false, ..user }).await.expect("updated");
        let token = accounts.api_token(name, Duration::from_secs(600)).await.expect("made");
        store.close().await;
        format!("Bearer {}", token.expose())
    }

    /// Somebody at a console.
    pub async fn sit_down(&self, token: &str) -> Agent {
        let mut agent = Agent::connect(&self.base, &[("authorization", token.to_owned())], PATIENCE).await;
        agent.expect("hello").await;
        agent
    }

    /// What the API answers.
    pub async fn get(&self, token: &str, path: &str) -> Value {
        let request = self.http.get(format!("{}/api/v1/{path}", self.base)).header("authorization", token);
        request.send().await.expect("answers").json().await.expect("JSON")
    }

    /// All that is known of a call once it is over.
    pub async fn ended_call(&self, token: &str, id: &Value) -> Value {
        let path = format!("calls/{}", id.as_str().expect("an id"));
        ended(async || self.get(token, &path).await).await
    }

    /// The one call there is, once it is at this stage.
    pub async fn call_at(&self, token: &str, stage: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let live = self.get(token, "live").await;
            if live["calls"][0]["stage"] == stage {
                return live["calls"][0].clone();
            }
            assert!(Instant::now() < end, "no call is at {stage}: {live}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The caller speaks from now on, for longer than any test takes.
pub async fn goes_on_speaking(call: &mut CallPlayer) {
    call.begin("tone", &tone(CALLER_HZ, Millis(240_000))).await.expect("begun");
}

/// Speaks a tone and listens until what came back satisfies; keeps the microphone open meanwhile.
pub async fn talk_until(agent: &mut Agent, hertz: f32, what: &str, mut holds: impl FnMut(&[i16]) -> bool) {
    let end = Instant::now() + PATIENCE;
    let mut sound = tone(hertz, Millis(500));
    sound.truncate(sound.len() / 320 * 320);
    loop {
        agent.heard.clear();
        agent.speak(&sound).await;
        if holds(&agent.heard) {
            return;
        }
        assert!(Instant::now() < end, "{what}");
    }
}

/// Whether this tone is loud in it.
pub fn loud(pcm: &[i16], hertz: f32) -> bool {
    pcm.len() >= 4_000 && best_share(pcm, hertz) > 0.25
}

/// The last half second a caller heard.
pub fn just_heard(call: &CallPlayer) -> Vec<i16> {
    let heard = call.captured_audio().reply;
    heard[heard.len().saturating_sub(SampleRate::WIDEBAND.samples_in(Millis(500)))..].to_vec()
}
