//! Calls we make: somebody answers, a machine does, or nobody, in each provider's words.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::dialled::{KEYS, WAYS, Way};
use super::providers::{PUBLIC_KEY, tell_of};
use super::vonage::{APPLICATION, parsed, post};
use super::*;
use crate::call::input::Missed;
use crate::web::carrier::played::{Api, Asked};

const GOODBYE: &str = "<Response><Hangup/></Response>";

/// Those whose calls are forms; Telnyx' go through Call Control.
fn ways() -> impl Iterator<Item = (Way, &'static str)> {
    let names = ["twilio", "signalwire", "telnyx", "plivo"];
    WAYS.into_iter().zip(names).filter(|(_, name)| *name != "telnyx")
}

fn machine(way: Way) -> (&'static str, &'static str) {
    if way.path == "/voice/plivo" { ("Machine", "true") } else { ("AnsweredBy", "machine_start") }
}

#[tokio::test]
async fn who_answers_is_joined_to_a_stream_under_the_providers_name() {
    for (way, name) in ways() {
        let server = server(KEYS);
        let fields = [(way.call_id, "C9"), ("From", "+15005550100"), ("To", "+15005550006"), ("AnsweredBy", "human")];
        let document = way.post(&server, "answered?call=k1", &fields).await;
        let token = match document.split_once("token=") {
            Some((_, token)) => Secret::new(token.split_once('"').expect("quoted").0.to_owned()),
            None => token_of(&document),
        };
        let grant = server.gate.tokens.redeem(now(), name, "C9", &token).expect("a good token");
        let whole = |number: Option<Pii<String>>| number.map(|number| number.reveal().clone());
        assert_eq!(
            (whole(grant.from).as_deref(), whole(grant.to).as_deref()),
            (Some("+15005550006"), Some("+15005550100")),
            "{name}: they are the caller now"
        );
        let late = way.post(&server, "answered?call=given-up", &fields).await;
        assert!(late.ends_with(GOODBYE), "{name}: {late}");
        assert_eq!(server.house.told(), [], "{name}");
    }
}

#[tokio::test]
async fn machines_and_those_who_do_not_answer_are_told_apart() {
    for (way, name) in ways() {
        let server = server(KEYS);
        let document = way.post(&server, "answered?call=k1", &[(way.call_id, "C9"), machine(way)]).await;
        assert!(document.ends_with(GOODBYE), "{name}: {document}");
        assert_eq!(server.house.told(), [TransferNews::Missed(Missed::Voicemail)], "{name}");
        for (status, more, missed) in [
            ("busy", ("X", "y"), Missed::Busy),
            ("no-answer", ("X", "y"), Missed::NoAnswer),
            ("timeout", ("X", "y"), Missed::NoAnswer),
            ("failed", ("X", "y"), Missed::Failed),
            ("completed", machine(way), Missed::Voicemail),
        ] {
            let fields = [(way.call_id, "C9"), ("CallStatus", status), more];
            way.post(&server, "dialled?call=k1", &fields).await;
            assert_eq!(server.house.told(), [TransferNews::Missed(missed)], "{name}: {status}");
        }
    }
}

fn vonage() -> Server {
    let section = format!("[vonage]\nsignature_secret = \"hush\"\napplication_id = \"{APPLICATION}\"");
    server(&format!("[server]\npublic_url = \"{BASE}\"\n{section}"))
}

#[tokio::test]
async fn vonage_asks_what_to_do_with_who_answers_and_tells_of_the_others() {
    let server = vonage();
    let answered = json!({"uuid": "v-9", "from": "15005550100", "to": "15005550006"});
    let ncco = parsed(&post(&server, "/voice/vonage/answered?call=k1", &answered).await.1);
    let endpoint = &ncco[0]["endpoint"][0];
    let token = Secret::new(endpoint["headers"]["token"].as_str().expect("a token").to_owned());
    let grant = server.gate.tokens.redeem(now(), "vonage", "v-9", &token).expect("a good token");
    assert_eq!(grant.from, Some(Pii::new("15005550006".to_owned())));
    assert_eq!(ncco[0]["from"], "15005550100", "whoever is called for them is called from our number");
    for late in ["/voice/vonage/answered?call=given-up", "/voice/vonage/answered"] {
        assert_eq!(parsed(&post(&server, late, &answered).await.1), json!([]));
    }
    // Both names are told: nobody knows which one they are known by.
    for (status, missed) in [
        ("machine", Missed::Voicemail),
        ("busy", Missed::Busy),
        ("timeout", Missed::NoAnswer),
        ("unanswered", Missed::NoAnswer),
        ("rejected", Missed::Declined),
        ("failed", Missed::Failed),
    ] {
        let told = json!({"status": status, "uuid": "v-9"});
        let (answer, _) = post(&server, "/voice/vonage/event?call=k1&leg=out", &told).await;
        assert_eq!(answer, StatusCode::NO_CONTENT);
        assert_eq!(server.house.told(), [TransferNews::Missed(missed); 2], "{status}");
    }
    for status in ["started", "ringing", "answered", "human"] {
        post(&server, "/voice/vonage/event?call=k1&leg=out", &json!({"status": status, "uuid": "v-9"})).await;
        assert_eq!(server.house.told(), [], "{status}");
    }
}

/// What Telnyx is asked, as action and body.
fn commands(asked: &[Asked]) -> Vec<(String, Value)> {
    let command = |asked: &Asked| {
        let action = asked.target.strip_prefix("/v2/calls/v3:9/actions/").unwrap_or_else(|| panic!("{asked:?}"));
        (action.to_owned(), serde_json::from_str(&asked.body).expect("JSON"))
    };
    asked.iter().map(command).collect()
}

fn telnyx(api: &Api) -> Server {
    let keys = format!("[telnyx]\npublic_key = \"{PUBLIC_KEY}\"\napi_key = \"KEY\"\napi_url = \"{}\"", api.base);
    server(&format!("[server]\npublic_url = \"{BASE}\"\n{keys}"))
}

async fn of(server: &Server, key: &str, event: &str, more: Value) {
    let state = BASE64.encode(format!("warmline:out:{key}"));
    let mut payload = json!({"client_state": state, "from": "+15005550100", "to": "+15005550006"});
    more.as_object().expect("an object").iter().for_each(|(name, value)| payload[name] = value.clone());
    assert_eq!(tell_of(server, "v3:9", event, payload).await, StatusCode::OK);
}

#[tokio::test]
async fn call_control_streams_when_it_is_known_that_a_person_has_answered() {
    for (event, result) in [
        ("call.machine.premium.detection.ended", "human_residence"),
        ("call.machine.premium.detection.ended", "silence"),
        ("call.machine.detection.ended", "not_sure"),
    ] {
        let api = Api::answering(&[]).await;
        let server = telnyx(&api);
        of(&server, "k1", "call.initiated", json!({"direction": "outgoing"})).await;
        of(&server, "k1", "call.answered", json!({})).await;
        assert_eq!(api.asked(), [], "nobody knows yet who has answered");
        of(&server, "k1", event, json!({"result": result})).await;
        let [(action, body)] = &commands(&api.asked())[..] else { panic!("one command") };
        assert_eq!(action, "streaming_start", "{result}");
        let token = Secret::new(body["stream_auth_token"].as_str().expect("a token").to_owned());
        // From here on it is a call like any other: its state holds the number people are called from for it.
        let state = BASE64.encode(format!("warmline:talk:{} +15005550100", token.expose()));
        assert_eq!(body["client_state"], state);
        let grant = server.gate.tokens.redeem(now(), "telnyx", "v3:9", &token).expect("a good token");
        assert_eq!(grant.from, Some(Pii::new("+15005550006".to_owned())));
        assert_eq!(server.house.told(), []);
    }
}

#[tokio::test]
async fn call_control_hangs_up_on_machines_and_on_whom_nobody_waits_for() {
    for (event, more, missed, commanded) in [
        ("call.machine.premium.detection.ended", json!({"result": "machine"}), Some(Missed::Voicemail), Some("hangup")),
        (
            "call.machine.premium.detection.ended",
            json!({"result": "fax_detected"}),
            Some(Missed::Voicemail),
            Some("hangup"),
        ),
        (
            "call.machine.premium.greeting.ended",
            json!({"result": "beep_detected"}),
            Some(Missed::Voicemail),
            Some("hangup"),
        ),
        ("call.machine.premium.greeting.ended", json!({"result": "no_beep_detected"}), None, None),
        ("call.hangup", json!({"hangup_cause": "user_busy"}), Some(Missed::Busy), None),
        ("call.hangup", json!({"hangup_cause": "timeout"}), Some(Missed::NoAnswer), None),
        ("call.hangup", json!({"hangup_cause": "call_rejected"}), Some(Missed::Declined), None),
        ("call.hangup", json!({"hangup_cause": "unallocated_number"}), Some(Missed::Failed), None),
    ] {
        let api = Api::answering(&[]).await;
        let server = telnyx(&api);
        of(&server, "k1", event, more.clone()).await;
        let told: Vec<_> = missed.into_iter().map(TransferNews::Missed).collect();
        assert_eq!(server.house.told(), told, "{event} {more}");
        let asked: Vec<_> = commands(&api.asked()).into_iter().map(|(action, _)| action).collect();
        assert_eq!(asked, commanded.into_iter().collect::<Vec<_>>(), "{event} {more}");
    }
    let api = Api::answering(&[]).await;
    let server = telnyx(&api);
    of(&server, "given-up", "call.machine.premium.detection.ended", json!({"result": "human_business"})).await;
    assert_eq!(commands(&api.asked())[0].0, "hangup");
}

/// Asks as Asterisk's dialplan and as Bandwidth do: with a name and a password.
async fn basic(server: &Server, target: &str, body: String) -> (StatusCode, String) {
    let credentials = format!("Basic {}", BASE64.encode("warmline:hush"));
    let request = Request::post(target).header(header::AUTHORIZATION, credentials);
    server.ask(request.body(Body::from(body)).expect("a request")).await
}

fn with_password(provider: &str) -> Server {
    server(&format!("[{provider}]\nusername = \"warmline\"\npassword = \"hush\""))
}

#[tokio::test]
async fn asterisks_dialplan_gets_a_token_for_who_answers_and_tells_of_the_others() {
    let server = with_password("asterisk");
    let answered = async |key: &str| {
        let form = format!("key={key}&call=warmline-{key}&from=%2B15005550100&to=%2B15005550006");
        basic(&server, "/voice/asterisk/answered", form).await.1
    };
    let token = Secret::new(answered("k1").await);
    let grant = server.gate.tokens.redeem(now(), "asterisk", "warmline-k1", &token).expect("a good token");
    assert_eq!(grant.from, Some(Pii::new("+15005550006".to_owned())), "they are the caller now");
    assert_eq!(answered("given-up").await, "hangup");
    for (status, missed) in [
        ("BUSY", Missed::Busy),
        ("NOANSWER", Missed::NoAnswer),
        ("VOICEMAIL", Missed::Voicemail),
        ("CHANUNAVAIL", Missed::Failed),
        ("", Missed::Failed),
    ] {
        basic(&server, "/voice/asterisk/unanswered", format!("key=k1&status={status}")).await;
        assert_eq!(server.house.told(), [TransferNews::Missed(missed)], "{status}");
    }
}

#[tokio::test]
async fn bandwidth_streams_who_answers_and_is_rid_of_machines() {
    let server = with_password("bandwidth");
    let ask = async |target: &str, more: Value| {
        let mut body = json!({"callId": "c9", "from": "+15005550100", "to": "+15005550006"});
        more.as_object().expect("an object").iter().for_each(|(name, value)| body[name] = value.clone());
        basic(&server, &format!("/voice/bandwidth/{target}"), body.to_string()).await.1
    };
    for who in ["human", "silence", "timeout"] {
        let found = json!({"eventType": "answer", "machineDetectionResult": {"value": who, "duration": "PT4.9S"}});
        let bxml = ask("answered?call=k1", found).await;
        let grant = server.gate.tokens.redeem(now(), "bandwidth", "c9", &token_of(&bxml)).expect("a good token");
        assert_eq!(grant.from, Some(Pii::new("+15005550006".to_owned())), "{who}");
        assert_eq!(server.house.told(), [], "{who}");
    }
    let machine = json!({"machineDetectionResult": {"value": "answering-machine"}});
    assert!(ask("answered?call=k1", machine).await.ends_with(GOODBYE));
    assert_eq!(server.house.told(), [TransferNews::Missed(Missed::Voicemail)]);
    assert!(ask("answered?call=given-up", json!({})).await.ends_with(GOODBYE));
    for (cause, missed) in [
        ("busy", Missed::Busy),
        ("timeout", Missed::NoAnswer),
        ("rejected", Missed::Declined),
        ("hangup", Missed::NoAnswer),
        ("error", Missed::Failed),
    ] {
        ask("unanswered?call=k1", json!({"eventType": "disconnect", "cause": cause})).await;
        assert_eq!(server.house.told(), [TransferNews::Missed(missed)], "{cause}");
    }
}
