//! Two agents and a caller at real sockets: one asks the other while the caller hears music, all three speak with each other,
//! callers are given on and parked. Who hears whom is told by tones.

use serde_json::{Value, json};
use warmline::audio::units::Millis;
use warmline::cli::call::player::{CallPlayer, Dial};
use warmline::store::UserRole;
use warmline::telephony::protocol::Digit;

use crate::support::agent::Agent;
use crate::support::front_desk::{said, until};
use crate::support::office::{
    AGENT_HZ, BOSS_HZ, CALLER_HZ, Office, PATIENCE, goes_on_speaking, just_heard, loud, talk_until,
};
use crate::support::tones::{best_share, tone};

/// The colleague's voice.
const COLLEAGUE_HZ: f32 = BOSS_HZ;

/// Dana has the caller, and eli is free.
struct Scene {
    office: Office,
    boss: String,
    call: CallPlayer,
    call_id: Value,
    dana: Agent,
    eli: Agent,
    eli_id: Value,
}

impl Scene {
    async fn open(more: &str) -> Self {
        let office = Office::open(more).await;
        let boss = office.token("boss", UserRole::Supervisor).await;
        let mut dana = office.sit_down(&office.token("dana", UserRole::Agent).await).await;
        dana.say(json!({ "type": "set_state", "state": "available" })).await;
        let (call, call_id) = Self::call(&office, &mut dana).await;
        let mut eli = office.sit_down(&office.token("eli", UserRole::Agent).await).await;
        eli.say(json!({ "type": "set_state", "state": "available" })).await;
        while eli.expect("state").await["state"] != "available" {}
        dana.say(json!({ "type": "colleagues" })).await;
        let colleagues = dana.expect("colleagues").await;
        let found = &colleagues["colleagues"][0];
        assert_eq!((&found["name"], &found["free"]), (&json!("eli"), &json!(true)), "{colleagues}");
        let eli_id = found["agent_id"].clone();
        Self { office, boss, call, call_id, dana, eli, eli_id }
    }

    /// A caller who is joined with this agent and speaks.
    async fn call(office: &Office, agent: &mut Agent) -> (CallPlayer, Value) {
        let mut call = CallPlayer::connect(&Dial::new(&office.base, "browser")).await.expect("connects");
        call.dtmf(Digit::new('0').expect("a key")).await.expect("pressed");
        let offer = agent.expect("offer").await;
        agent.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
        let call_id = agent.expect("connected").await["call_id"].clone();
        goes_on_speaking(&mut call).await;
        talk_until(agent, AGENT_HZ, "they hear each other", |heard| loud(heard, CALLER_HZ)).await;
        (call, call_id)
    }

    /// Dana asks eli, who takes it.
    async fn consult(&mut self) {
        self.dana.say(json!({ "type": "consult", "agent_id": self.eli_id })).await;
        assert_eq!(self.dana.expect("consult").await["state"], "asking");
        let offer = self.eli.expect("offer").await;
        assert_eq!((&offer["consulted_by"], &offer["call_id"]), (&json!("dana"), &self.call_id));
        self.eli.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
        assert_eq!(self.eli.expect("connected").await["consulted_by"], "dana");
        let here = self.dana.expect("consult").await;
        assert_eq!((&here["state"], &here["mode"], &here["with"]), (&json!("here"), &json!("private"), &json!("eli")));
    }

    async fn mode(&mut self, mode: &str) {
        self.dana.say(json!({ "type": "consult_mode", "mode": mode })).await;
        while self.dana.expect("consult").await["mode"] != mode {}
    }

    /// Everybody speaks until dana and eli hear what they should, and looks at the caller.
    async fn all_speak(&mut self, what: &str, mut holds: impl FnMut(&[i16], &[i16], &[i16]) -> bool) {
        let speech = [AGENT_HZ, COLLEAGUE_HZ].map(|hertz| {
            let mut sound = tone(hertz, Millis(600));
            sound.truncate(sound.len() / 320 * 320);
            sound
        });
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            (self.dana.heard, self.eli.heard) = (Vec::new(), Vec::new());
            tokio::join!(self.dana.speak(&speech[0]), self.eli.speak(&speech[1]));
            if holds(&self.dana.heard, &self.eli.heard, &just_heard(&self.call)) {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "{what}");
        }
    }

    /// The caller hangs up, and the server stops: it would wait for a caller on the line.
    async fn close(self) {
        let Self { office, call, .. } = self;
        call.hangup().await;
        office.app.stop().await;
    }

    async fn detail(&self) -> Value {
        let id = self.call_id.as_str().expect("an id");
        self.office.get(&self.boss, &format!("calls/{id}")).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_colleague_is_asked_joins_and_takes_the_caller() {
    let mut scene = Scene::open("").await;
    scene.consult().await;
    scene
        .all_speak("the agents hear each other, the caller hears neither", |dana, eli, caller| {
            loud(dana, COLLEAGUE_HZ)
                && loud(eli, AGENT_HZ)
                && !loud(dana, CALLER_HZ)
                && !loud(eli, CALLER_HZ)
                && !loud(caller, AGENT_HZ)
                && !loud(caller, COLLEAGUE_HZ)
        })
        .await;
    until("there is music", async || just_heard(&scene.call).iter().any(|sample| sample.unsigned_abs() > 200)).await;
    // What can't be done meanwhile.
    scene.dana.say(json!({ "type": "end" })).await;
    assert_eq!(scene.dana.expect("error").await["code"], "consulting");
    scene.eli.say(json!({ "type": "hand_back" })).await;
    assert_eq!(scene.eli.expect("error").await["code"], "not_yours");

    scene.mode("caller").await;
    scene
        .all_speak("dana and the caller hear each other, eli hears music", |dana, eli, caller| {
            loud(dana, CALLER_HZ)
                && loud(caller, AGENT_HZ)
                && !loud(caller, COLLEAGUE_HZ)
                && !loud(eli, AGENT_HZ)
                && !loud(eli, CALLER_HZ)
                && eli.iter().any(|sample| sample.unsigned_abs() > 200)
        })
        .await;

    scene.mode("together").await;
    scene
        .all_speak("each hears both others and not themselves", |dana, eli, caller| {
            let hears = |pcm: &[i16], one, other| loud(pcm, one) && loud(pcm, other);
            hears(dana, CALLER_HZ, COLLEAGUE_HZ)
                && hears(eli, CALLER_HZ, AGENT_HZ)
                && hears(caller, AGENT_HZ, COLLEAGUE_HZ)
                && best_share(dana, AGENT_HZ) < 0.02
                && best_share(eli, COLLEAGUE_HZ) < 0.02
                && best_share(caller, CALLER_HZ) < 0.02
        })
        .await;
    scene.dana.say(json!({ "type": "complete" })).await;
    let ended = scene.dana.expect("call_ended").await;
    assert_eq!(ended["reason"], "transferred");
    let connected = scene.eli.expect("connected").await;
    assert_eq!((&connected["call_id"], &connected["consulted_by"]), (&scene.call_id, &Value::Null));
    talk_until(&mut scene.eli, COLLEAGUE_HZ, "eli has the caller", |heard| {
        loud(heard, CALLER_HZ) && loud(&just_heard(&scene.call), COLLEAGUE_HZ)
    })
    .await;
    scene.eli.say(json!({ "type": "end" })).await;
    assert_eq!(scene.eli.expect("call_ended").await["reason"], "agent_ended");
    scene.call.wait_end(PATIENCE).await.expect("the server ends it");
    until("who was in it is on record", async || {
        let detail = scene.detail().await;
        let parties = detail["parties"].as_array().expect("parties");
        parties.len() == 3 && parties.iter().all(|party| party["left_at"].is_string())
    })
    .await;
    let detail = scene.office.ended_call(&scene.boss, &scene.call_id).await;
    let parts: Vec<&str> =
        detail["parties"].as_array().expect("a list").iter().filter_map(|one| one["part"].as_str()).collect();
    assert_eq!(parts, ["agent", "consulted", "agent"]);
    assert!(detail["parties"][1]["together_at"].is_string(), "{detail}");
    assert!(said(&detail, "assistant", "eli is joining us now."), "{detail}");
    let Scene { office, call_id, .. } = scene;
    let path = office.folder.path().join("recordings").join(format!("{}.wav", call_id.as_str().expect("an id")));
    office.app.stop().await;
    until("the recording is finished", async || hound::WavReader::open(&path).is_ok()).await;
    let wav = hound::WavReader::open(&path).expect("a recording");
    let samples: Vec<i16> = wav.into_samples().map(|sample| sample.expect("a sample")).collect();
    let side = |offset: usize| -> Vec<i16> { samples.iter().skip(offset).step_by(2).copied().collect() };
    let (left, right) = (side(0), side(1));
    assert!(loud(&left, CALLER_HZ) && !loud(&left, AGENT_HZ) && !loud(&left, COLLEAGUE_HZ), "left is the caller");
    let both = right.chunks(8_000).any(|part| loud(part, AGENT_HZ) && loud(part, COLLEAGUE_HZ));
    assert!(both && !loud(&right, CALLER_HZ), "right is everybody else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leaves_three_leaves_two_together() {
    let mut scene = Scene::open("").await;
    scene.consult().await;
    scene.eli.say(json!({ "type": "end" })).await;
    let ended = scene.eli.expect("call_ended").await;
    assert_eq!((&ended["reason"], &ended["wrap_up_ms"]), (&json!("consult_over"), &json!(0)));
    assert_eq!(scene.dana.expect("consult").await["state"], "over");
    talk_until(&mut scene.dana, AGENT_HZ, "the caller is back", |heard| {
        loud(heard, CALLER_HZ) && loud(&just_heard(&scene.call), AGENT_HZ)
    })
    .await;
    while scene.eli.expect("state").await["state"] != "available" {}
    scene.consult().await;
    scene.mode("together").await;
    scene.all_speak("all three", |dana, eli, _| loud(dana, CALLER_HZ) && loud(eli, CALLER_HZ)).await;
    // Dana's connection breaks.
    let Scene { office, boss, mut call, call_id, dana, mut eli, .. } = scene;
    drop(dana);
    assert_eq!(eli.expect("connected").await["call_id"], call_id);
    talk_until(&mut eli, COLLEAGUE_HZ, "eli has the caller", |heard| {
        loud(heard, CALLER_HZ) && loud(&just_heard(&call), COLLEAGUE_HZ)
    })
    .await;
    eli.say(json!({ "type": "end" })).await;
    assert_eq!(eli.expect("call_ended").await["reason"], "agent_ended");
    call.wait_end(PATIENCE).await.expect("the server ends it");
    let detail = office.ended_call(&boss, &call_id).await;
    let outcomes = (&detail["call"]["outcome"], &detail["handoffs"][0]["outcome"]);
    assert_eq!(outcomes, (&json!("spoke_with_agent"), &json!("bridged")), "{detail}");
    office.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_is_given_to_a_colleague_and_to_the_queue_if_they_decline() {
    let mut scene = Scene::open("").await;
    scene.dana.say(json!({ "type": "transfer", "agent_id": scene.eli_id })).await;
    assert_eq!(scene.dana.expect("call_ended").await["reason"], "transferred");
    let offer = scene.eli.expect("offer").await;
    assert_eq!(offer["consulted_by"], Value::Null);
    scene.eli.say(json!({ "type": "reject", "offer_id": offer["offer_id"] })).await;
    until("the caller is told", async || said(&scene.detail().await, "assistant", "finding somebody else")).await;
    let mut finn = scene.office.sit_down(&scene.office.token("finn", UserRole::Agent).await).await;
    finn.say(json!({ "type": "set_state", "state": "available" })).await;
    let offer = finn.expect("offer").await;
    assert_eq!(offer["call_id"], scene.call_id);
    finn.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
    finn.expect("connected").await;
    talk_until(&mut finn, COLLEAGUE_HZ, "finn has the caller", |heard| {
        loud(heard, CALLER_HZ) && loud(&just_heard(&scene.call), COLLEAGUE_HZ)
    })
    .await;
    finn.say(json!({ "type": "transfer", "outside": "nowhere" })).await;
    assert_eq!(finn.expect("error").await["code"], "no_telephone");
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_caller_hears_music_and_is_picked_up() {
    let mut scene = Scene::open("[handoff]\npark_limit_s = 10\n").await;
    scene.dana.say(json!({ "type": "park" })).await;
    assert_eq!(scene.dana.expect("call_ended").await["reason"], "parked");
    scene.dana.say(json!({ "type": "wrap_up", "call_id": scene.call_id, "note": "", "disposition": "other" })).await;
    let parked = scene.eli.expect("parked").await;
    assert_eq!((&parked["callers"][0]["call_id"], &parked["callers"][0]["by"]), (&scene.call_id, &json!("dana")));
    scene.eli.say(json!({ "type": "pick_up", "call_id": scene.call_id })).await;
    assert_eq!(scene.eli.expect("connected").await["call_id"], scene.call_id);
    talk_until(&mut scene.eli, COLLEAGUE_HZ, "eli has the caller", |heard| {
        loud(heard, CALLER_HZ) && loud(&just_heard(&scene.call), COLLEAGUE_HZ)
    })
    .await;
    scene.dana.say(json!({ "type": "pick_up", "call_id": scene.call_id })).await;
    assert_eq!(scene.dana.expect("error").await["code"], "not_parked");
    // Parked again, and nobody comes: first in line, and asked like anybody.
    scene.eli.say(json!({ "type": "park" })).await;
    scene.eli.expect("call_ended").await;
    let offer = scene.dana.expect("offer").await;
    assert_eq!(offer["call_id"], scene.call_id);
    scene.close().await;
}
