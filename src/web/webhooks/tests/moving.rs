//! Callers moved by their providers' APIs: what is asked, and what follows from each answer.

use axum::http::Method;
use futures::future::join_all;

use super::*;
use crate::web::carrier::played::{Api, Asked, SILENCE};
use crate::web::moving::{Departing, Moved, Mover as _};

/// One provider's API as it is configured.
struct Way {
    provider: &'static str,
    /// Its section of the configuration, without the API's address.
    section: &'static str,
    /// The key of that address, and what follows the host in it.
    url: (&'static str, &'static str),
    /// Where Asterisk is asked; the others' requests are known elsewhere.
    target: Option<&'static str>,
}

fn ways() -> Vec<Way> {
    let way = |provider, section| Way { provider, section, url: ("api_url", ""), target: None };
    let ari = |section, target| Way { provider: "asterisk", section, url: ("ari_url", "/ari"), target: Some(target) };
    vec![
        way("twilio", "account_sid = \"AC1\""),
        way("signalwire", "project_id = \"p-1\"\napi_token = \"PT1\""),
        way("plivo", "auth_token = \"12345\"\nauth_id = \"MA1\""),
        way("telnyx", "api_key = \"KEY\""),
        ari("ari_username = \"desk\"\nari_password = \"ari-word\"", "/ari/channels/c1/continue"),
        ari(
            "ari_username = \"desk\"\nari_password = \"ari-word\"\nari_context = \"after\"",
            "/ari/channels/c1/continue?context=after&extension=s&priority=1",
        ),
    ]
}

/// ARI's other way, which says yes before it knows.
fn redirect() -> Way {
    Way {
        provider: "asterisk",
        section: "ari_username = \"desk\"\nari_password = \"ari-word\"\nari_move = \"redirect\"\n\
                  redirect_patience_s = 2",
        url: ("ari_url", "/ari"),
        target: Some("/ari/channels/c1/redirect?endpoint=PJSIP%2F%2B15005550123"),
    }
}

impl Way {
    /// The server that asks `api`, or none where nothing is configured.
    fn state(&self, api: Option<&str>) -> WebhookState {
        let (key, path) = self.url;
        let section = api.map_or(String::new(), |base| format!("{}\n{key} = \"{base}{path}\"\n", self.section));
        // `server` begins with Twilio's section.
        let text = match self.provider {
            "twilio" => section,
            other => format!("[{other}]\n{section}"),
        };
        server_and_state(&format!("{text}\n[server]\npublic_url = \"https://voice.example.com\"")).1
    }

    fn caller(&self) -> Departing {
        let transfer = Transfer { target: "+15005550123".to_owned().into(), ..Transfer::default() };
        let [call_id, number, account] = ["c1", "+15005550001", "acc-1"].map(str::to_owned);
        Departing { provider: self.provider, call_id, number, account, transfer }
    }

    fn check(&self, asked: &Asked) {
        match self.target {
            None => asked.check(self.provider, "move"),
            Some(target) => {
                assert_eq!((&asked.method, asked.target.as_str()), (&Method::POST, target));
                assert_eq!((asked.authorization.as_str(), asked.body.as_str()), ("Basic ZGVzazphcmktd29yZA==", ""));
            }
        }
    }
}

#[tokio::test]
async fn the_provider_is_told_to_ask_at_once_what_becomes_of_the_call() {
    for way in ways() {
        let api = Api::answering(&[]).await;
        let state = way.state(Some(&api.base));
        assert!(state.can_move(way.provider));
        assert_eq!(state.move_call(&way.caller()).await, Moved::Yes, "{}", way.provider);
        let [asked] = api.asked().try_into().expect("one request");
        way.check(&asked);
    }
}

#[tokio::test]
async fn an_answer_that_is_no_yes_leaves_the_caller_with_us_and_nobody_is_moved_twice() {
    /// Answers of the API in turn, what follows, and how often it was asked.
    type Case = (&'static [(u16, &'static str)], Moved, usize);
    let cases: [Case; 9] = [
        (&[(404, r#"{"code":20404}"#)], Moved::Gone, 1),
        (&[(400, r#"{"code":21220}"#)], Moved::Gone, 1),
        (&[(401, "{}")], Moved::No, 1),
        (&[(429, "{}"), (200, "{}")], Moved::Yes, 2),
        (&[(429, "{}"), (503, "{}"), (429, "{}")], Moved::No, 3),
        (&[(500, "{}")], Moved::No, 1),
        (&[(502, "<html>")], Moved::No, 1),
        (&[(200, "<html>")], Moved::No, 1),
        (&[(SILENCE, "")], Moved::No, 1),
    ];
    let ways = ways();
    // All are made first: what a client takes to be made would be time of those that are asking already.
    let mut all = Vec::new();
    for (way, &(answers, expected, tries)) in ways.iter().flat_map(|way| cases.iter().map(move |case| (way, case))) {
        let api = Api::answering(answers).await;
        let state = way.state(Some(&api.base));
        all.push((way, answers, expected, tries, api, state));
    }
    join_all(all.into_iter().map(|(way, answers, expected, tries, api, state)| async move {
        let moved = state.move_call(&way.caller()).await;
        assert_eq!((moved, api.asked().len()), (expected, tries), "{} {answers:?}", way.provider);
    }))
    .await;
    let nobody = ways[0].state(Some("http://127.0.0.1:1"));
    assert_eq!(nobody.move_call(&ways[0].caller()).await, Moved::No);
}

#[tokio::test]
async fn without_an_account_the_stream_is_closed_instead() {
    for way in ways() {
        let state = way.state(None);
        assert!(!state.can_move(way.provider), "{}", way.provider);
        assert_eq!(state.move_call(&way.caller()).await, Moved::No);
    }
    let state = server_and_state("").1;
    for provider in ["vonage", "telnyx", "exotel", "bandwidth", "jambonz", "browser", "audiohook"] {
        assert!(!state.can_move(provider), "{provider}");
    }
    // A name never leaves its place in the path.
    let api = Api::answering(&[]).await;
    let odd = Departing { call_id: "v3:c1/../x?y".to_owned(), ..ways()[0].caller() };
    assert_eq!(ways()[0].state(Some(&api.base)).move_call(&odd).await, Moved::Yes);
    assert_eq!(api.asked()[0].target, "/2010-04-01/Accounts/AC1/Calls/v3:c1%2F..%2Fx%3Fy.json");
    // Call Control moves its calls once the stream is over.
    let telnyx = Way { provider: "telnyx", section: "api_key = \"KEY\"", url: ("api_url", ""), target: None };
    let uncounted = Departing { account: String::new(), ..telnyx.caller() };
    assert_eq!(telnyx.state(Some("http://127.0.0.1:1")).move_call(&uncounted).await, Moved::No);
    // What lands in a dialplan is made of what numbers and addresses are made of.
    let ways = ways();
    let ari = ways.iter().find(|way| way.provider == "asterisk").expect("a way");
    let mut caller = ari.caller();
    caller.transfer.target = "$()".to_owned().into();
    assert_eq!(ari.state(Some("http://127.0.0.1:1")).move_call(&caller).await, Moved::No);
}

#[tokio::test]
async fn a_telephone_that_was_told_to_go_is_looked_after() {
    /// What ARI says of the channel in turn, the last of these for good, and what follows.
    type Case = (&'static [u16], Moved);
    let cases: [Case; 4] = [
        (&[404], Moved::Yes),
        (&[500, 404], Moved::Yes),
        (&[200], Moved::Stayed),
        // Nobody says that they are gone.
        (&[500], Moved::Stayed),
    ];
    join_all(cases.into_iter().map(|(looks, expected)| async move {
        let api = Api::open(move |n, _| match n.checked_sub(1) {
            None => (204, String::new()),
            Some(look) => (looks[look.min(looks.len() - 1)], "{}".to_owned()),
        })
        .await;
        let way = redirect();
        assert_eq!(way.state(Some(&api.base)).move_call(&way.caller()).await, expected, "{looks:?}");
        let asked = api.asked();
        way.check(&asked[0]);
        assert_eq!((&asked[1].method, asked[1].target.as_str()), (&Method::GET, "/ari/channels/c1"));
        assert_eq!(asked[1].authorization, "Basic ZGVzazphcmktd29yZA==");
    }))
    .await;
    // Whom ARI itself refuses goes by the closed stream, and nobody looks.
    let (api, way) = (Api::answering(&[(409, "{}")]).await, redirect());
    assert_eq!(way.state(Some(&api.base)).move_call(&way.caller()).await, Moved::No);
    assert_eq!(api.asked().len(), 1);
}
