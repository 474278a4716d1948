//! A person is called for a caller: the same story for each provider whose webhooks are forms, in its own words.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::*;
use crate::call::input::{Missed, TransferNews};
use crate::telephony::signature::{ed25519, plivo};
use crate::web::gate::unix_s;

pub(super) const KEYS: &str = "[server]\npublic_url = \"https://voice.example.com\"\n[signalwire]\nsigning_key = \"12345\"\n\
                    [plivo]\nauth_token = \"12345\"\n\
                    [telnyx]\npublic_key = \"A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\"\n";

/// One provider whose forms are Twilio's or nearly so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) path: &'static str,
    pub(super) call_id: &'static str,
    dialled: &'static str,
}

pub(super) const WAYS: [Way; 4] = [
    Way { path: "/voice/twilio", call_id: "CallSid", dialled: "DialCallStatus" },
    Way { path: "/voice/signalwire", call_id: "CallSid", dialled: "DialCallStatus" },
    Way { path: "/voice/telnyx/texml", call_id: "CallSid", dialled: "DialCallStatus" },
    Way { path: "/voice/plivo", call_id: "CallUUID", dialled: "DialStatus" },
];

impl Way {
    fn asks_itself(self) -> bool {
        self.path == "/voice/plivo"
    }

    /// Posts a signed form.
    pub(super) async fn post(self, server: &Server, what: &str, fields: &[(&str, &str)]) -> String {
        let path = if what.starts_with('/') { what.to_owned() } else { format!("{}/{what}", self.path) };
        let owned: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let url = format!("{BASE}{path}");
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        let timestamp = unix_s().to_string();
        let seed = BASE64.encode((0..32).collect::<Vec<u8>>());
        let headers: Vec<(&str, String)> = match self.path {
            "/voice/plivo" => vec![
                (plivo::SIGNATURE_HEADER, plivo::sign("12345", &url, Some(&owned), &nonce)),
                (plivo::NONCE_HEADER, nonce),
            ],
            "/voice/telnyx/texml" => {
                let key = ed25519::SigningKey::from_seed(&seed).expect("a seed");
                let signature = key.sign(&timestamp, body.as_bytes());
                vec![(ed25519::TIMESTAMP_HEADER, timestamp), (ed25519::SIGNATURE_HEADER, signature)]
            }
            _ => vec![(TWILIO_HEADER, sign_twilio("12345", &url, &owned))],
        };
        let request =
            headers.into_iter().fold(Request::post(&path), |request, (name, value)| request.header(name, value));
        let (status, document) = server.ask(request.body(Body::from(body)).expect("a request")).await;
        assert!(status.is_success(), "{path}: {status} {document}");
        document
    }

    /// Calls the person; the address that tells what they hear.
    async fn call(self, server: &Server) -> String {
        let variables = [("summary".to_owned(), "Wants a <refund>.".to_owned().into())].into();
        let transfer = Transfer { target: "+15005550123".to_owned().into(), variables };
        server.gate.outcomes.record(now(), "C1", StreamOutcome::Transfer(transfer));
        let document = self.post(server, "after", &[(self.call_id, "C1")]).await;
        assert!(document.contains(">+15005550123</Number></Dial>"), "{document}");
        let (_, whisper) = document
            .split_once(if self.asks_itself() { "confirmSound=\"" } else { "<Number url=\"" })
            .expect("whispers");
        let whisper = whisper.split_once('"').expect("quoted").0;
        whisper.strip_prefix(BASE).expect("ours").to_owned()
    }

    async fn over(self, server: &Server, status: &str) -> String {
        let fields =
            [(self.call_id, "C1"), ("From", "+15005550006"), (self.dialled, status), ("CallStatus", "in-progress")];
        self.post(server, "after", &fields).await
    }
}

fn is_back(document: &str) -> bool {
    document.contains("<Stream ")
}

#[tokio::test]
async fn whoever_answers_hears_the_brief_and_takes_the_call_with_a_key() {
    for way in WAYS {
        let server = server(KEYS);
        let whisper = way.call(&server).await;
        let heard = way.post(&server, &whisper, &[(way.call_id, "C9")]).await;
        assert!(heard.contains("A caller is waiting for you. Wants a &lt;refund&gt;. Press 1"), "{way:?}: {heard}");
        if way.asks_itself() {
            way.post(&server, "status?call=C1", &[(way.call_id, "C1"), ("DialAction", "connected")]).await;
        } else {
            let joined = way.post(&server, "accept?call=C1", &[(way.call_id, "C9"), ("Digits", "1")]).await;
            assert!(joined.ends_with("<Response/>"), "{way:?}: {joined}");
        }
        assert_eq!(server.house.told(), [TransferNews::Taken], "{way:?}");
        let over = way.over(&server, "completed").await;
        assert!(over.ends_with("<Response><Hangup/></Response>"), "{way:?}: {over}");
        assert_eq!(server.house.told(), [], "{way:?}: it is told once");
    }
}

#[tokio::test]
async fn whoever_is_not_taken_comes_back_to_a_new_stream() {
    for way in WAYS {
        for (status, asked, keys, missed) in [
            ("busy", false, None, Missed::Busy),
            ("no-answer", false, None, Missed::NoAnswer),
            ("failed", false, None, Missed::Failed),
            ("completed", true, Some("2"), Missed::Declined),
            ("completed", true, None, Missed::NoAnswer),
        ] {
            let server = server(KEYS);
            let whisper = way.call(&server).await;
            if asked {
                way.post(&server, &whisper, &[(way.call_id, "C9")]).await;
            }
            if let (Some(keys), false) = (keys, way.asks_itself()) {
                let refused = way.post(&server, "accept?call=C1", &[(way.call_id, "C9"), ("Digits", keys)]).await;
                assert!(refused.ends_with("<Response><Hangup/></Response>"), "{way:?}: {refused}");
            }
            let missed = if way.asks_itself() && missed == Missed::Declined { Missed::NoAnswer } else { missed };
            assert!(is_back(&way.over(&server, status).await), "{way:?} {status}");
            assert_eq!(server.house.told(), [TransferNews::Missed(missed)], "{way:?} {status}");
            assert!(is_back(&way.over(&server, "busy").await), "{way:?}: providers repeat what timed out");
            let late = way.post(&server, &whisper, &[(way.call_id, "C9")]).await;
            assert!(late.ends_with("<Response><Hangup/></Response>"), "{way:?}: the caller is not to be had any more");
        }
    }
}

#[tokio::test]
async fn a_caller_who_hung_up_meanwhile_and_a_provider_that_asks_nobody_are_told_apart() {
    for way in WAYS {
        let server = server(KEYS);
        way.call(&server).await;
        let left = [(way.call_id, "C1"), (way.dialled, "no-answer"), ("CallStatus", "completed")];
        assert!(!is_back(&way.post(&server, "after", &left).await), "{way:?}");
        assert_eq!(server.house.told(), [TransferNews::CallerLeft], "{way:?}");
        way.call(&server).await;
        assert!(!is_back(&way.over(&server, "completed").await), "{way:?}: joined without a question");
        assert_eq!(server.house.told(), [TransferNews::Taken], "{way:?}");
    }
}
