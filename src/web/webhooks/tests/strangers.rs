//! A stranger asks every webhook there is, of providers that are configured.

use axum::http::Method;

use super::*;

const CONFIGURED: &str = "[signalwire]\nsigning_key = \"k\"\n[plivo]\nauth_token = \"t\"\n\
    [telnyx]\npublic_key = \"A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\"\n\
    [vonage]\nsignature_secret = \"s\"\napplication_id = \"aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab\"\n\
    [jambonz]\nwebhook_secret = \"s\"\n[exotel]\nusername = \"u\"\npassword = \"p\"\n\
    [bandwidth]\nusername = \"u\"\npassword = \"p\"\n[asterisk]\nusername = \"u\"\npassword = \"p\"\n\
    [freeswitch]\nusername = \"u\"\npassword = \"p\"\n";

const FORMS: [&str; 7] = ["incoming", "after", "whisper", "accept", "answered", "dialled", "status"];

/// Method, and path below `/voice` with what follows it.
type Door = (Method, &'static str, &'static [&'static str]);

fn all() -> [Door; 14] {
    let vonage: &[&str] = &["incoming", "event", "whisper", "person", "accept", "waited", "answered"];
    [
        (Method::POST, "twilio", &FORMS),
        (Method::POST, "signalwire", &FORMS),
        (Method::POST, "plivo", &FORMS),
        (Method::POST, "telnyx/texml", &FORMS),
        (Method::POST, "telnyx", &["incoming"]),
        (Method::POST, "vonage", vonage),
        (Method::GET, "vonage", vonage),
        (Method::POST, "jambonz", &["incoming", "after", "confirm", "accept", "dialled", "status"]),
        (Method::POST, "exotel", &["incoming"]),
        (Method::GET, "exotel", &["incoming", "next", "connect", "dial", "missed"]),
        (Method::POST, "bandwidth", &["incoming", "keys", "status", "whisper", "accept", "dialled"]),
        (Method::POST, "asterisk", &["incoming", "after", "dialled", "accept", "answered", "unanswered"]),
        (Method::GET, "asterisk", &["brief/c1"]),
        (Method::POST, "freeswitch", &["incoming", "after", "dialled"]),
    ]
}

#[tokio::test]
async fn no_webhook_answers_a_stranger() {
    let server = server(CONFIGURED);
    for (method, provider, names) in all() {
        for name in names {
            let target = format!("/voice/{provider}/{name}?call=c1");
            let request = Request::builder().method(method.clone()).uri(&target).header("authorization", "Basic dTpx");
            let body = Body::from("{\"call_sid\":\"c1\"}");
            let (status, said) = server.ask(request.body(body).expect("a request")).await;
            let is_refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            assert!(is_refused && said.is_empty(), "{method} {target}: {status} {said}");
        }
    }
    assert!(server.house.told().is_empty(), "and nobody hears of it");
}
