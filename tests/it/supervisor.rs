//! A supervisor at real sockets: hears a call of the assistant and takes it over; whispers to an agent, is heard by all, ends
//! the call; and nobody else may.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use warmline::app::{App, OwnEngines};
use warmline::audio::units::{Millis, SampleRate};
use warmline::cli::call::player::{CallPlayer, Dial};
use warmline::config::Config;
use warmline::engine::CancelFlag;
use warmline::engine::stt::fake::FakeStt;
use warmline::engine::tts::{TextToSpeech, TtsError};
use warmline::engine::vad::fake::FakeVad;
use warmline::store::sqlite::SqliteStore;
use warmline::store::{Store, UserRecord, UserRole};
use warmline::telephony::protocol::Digit;
use warmline::web::auth::Accounts;

use crate::support::agent::Agent;
use crate::support::tones::{best_share, tone};

const PATIENCE: Duration = Duration::from_secs(60);
const ASSISTANT_HZ: f32 = 700.0;
const CALLER_HZ: f32 = 1_000.0;
const AGENT_HZ: f32 = 440.0;
const BOSS_HZ: f32 = 1_500.0;

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

struct Site {
    app: App,
    base: String,
    folder: tempfile::TempDir,
    database: String,
    http: reqwest::Client,
}

impl Site {
    async fn open() -> Self {
        warmline::engine::llm::openai::install_crypto();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:{port}\"\ndata_dir = {:?}\n[llm]\nengine = \"off\"\n[dialog]\nembedding = \"\"\n",
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
        Self { app, base: format!("http://127.0.0.1:{port}"), folder, database, http }
    }

    async fn token(&self, name: &str, role: UserRole) -> String {
        let store = SqliteStore::open(&self.database, self.folder.path()).await.expect("opens");
        let store: Arc<dyn Store> = Arc::new(store);
        let accounts = Accounts::new(store.clone());
        let (user, _) = accounts.add(name, role).await.expect("added");
        store.update_user(&UserRecord { must_change_password: false, ..user }).await.expect("updated");
        let token = accounts.api_token(name, Duration::from_secs(600)).await.expect("made");
        store.close().await;
        format!("Bearer {}", token.expose())
    }

    async fn sit_down(&self, token: &str) -> Agent {
        let mut agent = Agent::connect(&self.base, &[("authorization", token.to_owned())], PATIENCE).await;
        agent.expect("hello").await;
        agent
    }

    async fn get(&self, token: &str, path: &str) -> Value {
        let request = self.http.get(format!("{}/api/v1/{path}", self.base)).header("authorization", token);
        request.send().await.expect("answers").json().await.expect("JSON")
    }

    /// The one call there is, once it is at this stage.
    async fn call_at(&self, token: &str, stage: &str) -> Value {
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

/// Speaks a tone and listens until what came back satisfies; keeps the microphone open meanwhile.
async fn talk_until(agent: &mut Agent, hertz: f32, what: &str, mut holds: impl FnMut(&[i16]) -> bool) {
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

fn loud(pcm: &[i16], hertz: f32) -> bool {
    pcm.len() >= 4_000 && best_share(pcm, hertz) > 0.25
}

/// The last half second a caller heard.
fn just_heard(call: &CallPlayer) -> Vec<i16> {
    let heard = call.captured_audio().reply;
    heard[heard.len().saturating_sub(SampleRate::WIDEBAND.samples_in(Millis(500)))..].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_the_assistant_is_heard_and_taken_over() {
    let site = Site::open().await;
    let boss_token = site.token("boss", UserRole::Supervisor).await;
    let mut boss = site.sit_down(&boss_token).await;
    let mut other = site.sit_down(&site.token("dana", UserRole::Agent).await).await;
    let mut call = CallPlayer::connect(&Dial::new(&site.base, "browser")).await.expect("connects");
    let call_id = site.call_at(&boss_token, "assistant").await["call_id"].clone();

    for message in ["supervise", "take_over", "force_end"] {
        other.say(json!({ "type": message, "call_id": call_id, "mode": "listen" })).await;
        assert_eq!(other.expect("error").await["code"], "forbidden", "{message}");
    }
    boss.say(json!({ "type": "supervise", "call_id": call_id, "mode": "whisper" })).await;
    assert_eq!(boss.expect("error").await["code"], "no_agent");
    boss.say(json!({ "type": "supervise", "call_id": call_id, "mode": "listen" })).await;
    assert_eq!(boss.expect("supervising").await["mode"], "listen");
    call.begin("tone", &tone(CALLER_HZ, Millis(20_000))).await.expect("begun");
    talk_until(&mut boss, BOSS_HZ, "the caller is heard", |heard| loud(heard, CALLER_HZ)).await;
    assert!(!loud(&just_heard(&call), BOSS_HZ), "who listens is not heard");

    boss.say(json!({ "type": "take_over", "call_id": call_id })).await;
    boss.expect("supervising_ended").await;
    assert_eq!(boss.expect("connected").await["call_id"], call_id);
    talk_until(&mut boss, BOSS_HZ, "caller and boss hear each other", |heard| {
        loud(heard, CALLER_HZ) && loud(&just_heard(&call), BOSS_HZ)
    })
    .await;
    boss.say(json!({ "type": "end" })).await;
    assert_eq!(boss.expect("call_ended").await["reason"], "agent_ended");
    call.wait_end(PATIENCE).await.expect("the server ends it");
    let audit = site.get(&boss_token, "audit").await;
    let actions: Vec<&str> =
        audit.as_array().expect("a list").iter().filter_map(|entry| entry["action"].as_str()).collect();
    assert_eq!(actions, ["stop", "take_over", "listen"], "newest first");
    site.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_whispered_to_all_are_spoken_to_and_the_call_is_ended() {
    let site = Site::open().await;
    let boss_token = site.token("boss", UserRole::Supervisor).await;
    let mut boss = site.sit_down(&boss_token).await;
    let mut dana = site.sit_down(&site.token("dana", UserRole::Agent).await).await;
    dana.say(json!({ "type": "set_state", "state": "available" })).await;
    let mut call = CallPlayer::connect(&Dial::new(&site.base, "browser")).await.expect("connects");
    call.dtmf(Digit::new('0').expect("a key")).await.expect("pressed");
    let offer = dana.expect("offer").await;
    dana.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
    let call_id = dana.expect("connected").await["call_id"].clone();
    call.begin("tone", &tone(CALLER_HZ, Millis(60_000))).await.expect("begun");
    talk_until(&mut dana, AGENT_HZ, "dana hears the caller", |heard| loud(heard, CALLER_HZ)).await;

    boss.say(json!({ "type": "supervise", "call_id": call_id, "mode": "whisper" })).await;
    boss.expect("supervising").await;
    let told = dana.expect("supervised").await;
    assert_eq!((&told["mode"], &told["by"]), (&json!("whisper"), &json!("boss")));
    let speaking = tone(BOSS_HZ, Millis(3_000));
    let (_, ()) = tokio::join!(boss.speak(&speaking), async {
        talk_until(&mut dana, AGENT_HZ, "dana hears the boss", |heard| loud(heard, BOSS_HZ)).await;
    });
    assert!(best_share(&boss.heard, AGENT_HZ) > 0.25 && best_share(&boss.heard, CALLER_HZ) > 0.25, "both are heard");
    assert!(!loud(&call.captured_audio().reply, BOSS_HZ), "the caller heard nothing of it");

    boss.say(json!({ "type": "supervise", "call_id": call_id, "mode": "barge" })).await;
    assert_eq!(dana.expect("supervised").await["mode"], "barge");
    let (_, ()) = tokio::join!(boss.speak(&speaking), async {
        talk_until(&mut dana, AGENT_HZ, "the caller hears the boss", |_| loud(&just_heard(&call), BOSS_HZ)).await;
    });

    boss.say(json!({ "type": "force_end", "call_id": call_id })).await;
    assert_eq!(dana.expect("call_ended").await["reason"], "supervisor_ended");
    boss.expect("supervising_ended").await;
    call.wait_end(PATIENCE).await.expect("the server ends it");
    site.app.stop().await;
}
