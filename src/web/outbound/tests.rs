//! Each provider's request for a call, and what follows from each answer.

use super::*;
use crate::config::Config;
use crate::web::carrier::played::{Api, SILENCE};

const KEY: &str = include_str!("../../../tests/fixtures/vonage/application.pem");

const BANDWIDTH: &str = "username = \"warmline\"\npassword = \"hush\"\naccount_id = \"5500\"\napi_username = \"user-1\"\n\
                         api_password = \"API\"\napplication_id = \"app-1\"";
const ASTERISK: &str = "ari_username = \"desk\"\nari_password = \"ari-word\"\ndial = \"PJSIP/NUMBER@trunk\"";

/// One provider's account.
struct Way {
    provider: &'static str,
    /// Its section, without the API's address.
    section: String,
    /// What the API says to a call.
    answer: &'static str,
}

/// As which every call is known.
const CALL: &str = "c9";

fn ways() -> Vec<Way> {
    let way = |provider, section: &str, answer| {
        let section = format!("{section}\nnumber = \"+15005550100\"");
        Way { provider, section, answer }
    };
    let vonage = format!("application_id = \"app-1\"\nprivate_key = \"\"\"\n{KEY}\"\"\"");
    vec![
        way("twilio", "auth_token = \"12345\"\naccount_sid = \"AC1\"", r#"{"sid":"c9"}"#),
        way("signalwire", "project_id = \"p-1\"\napi_token = \"PT1\"", r#"{"sid":"c9"}"#),
        way("telnyx", "api_key = \"KEY\"\nconnection_id = \"177\"", r#"{"data":{"call_control_id":"c9"}}"#),
        way("plivo", "auth_token = \"12345\"\nauth_id = \"MA1\"", r#"{"message":"call fired","request_uuid":"c9"}"#),
        way("vonage", &vonage, r#"{"uuid":"c9","status":"started"}"#),
        way("bandwidth", BANDWIDTH, r#"{"callId":"c9","state":"queued"}"#),
        way("jambonz", "account_sid = \"acc-1\"\napi_key = \"KEY\"\napplication_sid = \"app-1\"", r#"{"sid":"c9"}"#),
        way("asterisk", ASTERISK, r#"{"id":"c9","state":"Down"}"#),
    ]
}

impl Way {
    fn outbound(&self, api: &str) -> Outbound {
        outbound(&format!("[server]\npublic_url = \"https://voice.example.com\"\n{}", self.section(api)))
    }

    fn section(&self, api: &str) -> String {
        let url = match self.provider {
            "asterisk" => format!("ari_url = \"{api}/ari\""),
            _ => format!("api_url = \"{api}\""),
        };
        format!("[{}]\n{}\n{url}\n", self.provider, self.section)
    }
}

fn outbound(configuration: &str) -> Outbound {
    let config = Config::parse(configuration, std::iter::empty()).expect("valid");
    Outbound::new(Arc::new(Gate::new(&config)), &config.outbound.provider)
}

fn number() -> Pii<String> {
    Pii::new("+15005550006".to_owned())
}

#[tokio::test]
async fn a_telephone_is_asked_for_by_each_providers_own_request_and_called_off_by_another() {
    for way in ways() {
        let answer = way.answer.to_owned();
        let api = Api::open(move |n, _| (if n == 0 { 201 } else { 200 }, answer.clone())).await;
        let outbound = way.outbound(&api.base);
        assert!(outbound.can_dial(way.provider));
        assert_eq!(outbound.dial(way.provider, "k1", &number()).await.as_deref(), Ok(CALL), "{}", way.provider);
        outbound.hang_up(way.provider, CALL).await;
        let [call, end] = api.asked().try_into().expect("two requests");
        call.check(way.provider, "call");
        end.check(way.provider, "end");
    }
}

#[tokio::test]
async fn nobody_is_called_twice_for_an_answer_that_is_no_yes() {
    let cases: [(&[(u16, &str)], usize); 8] = [
        (&[(401, "{}")], 1),
        (&[(404, "{}")], 1),
        (&[(429, "{}"), (503, "{}"), (429, "{}")], 3),
        (&[(500, "{}")], 1),
        (&[(200, "<html>")], 1),
        (&[(200, "{}")], 1),
        (&[(200, r#"{"sid":"","request_uuid":7,"uuid":null,"data":[]}"#)], 1),
        (&[(SILENCE, "")], 1),
    ];
    let ways = ways();
    // All are made first: what a client takes to be made would be time of those that are asking already.
    let mut all = Vec::new();
    for (way, &(answers, tries)) in ways.iter().flat_map(|way| cases.iter().map(move |case| (way, case))) {
        let api = Api::answering(answers).await;
        let outbound = way.outbound(&api.base);
        all.push((way, answers, tries, api, outbound));
    }
    futures::future::join_all(all.into_iter().map(|(way, answers, tries, api, outbound)| async move {
        let result = outbound.dial(way.provider, "k1", &number()).await;
        // A call of Telnyx' has an id of ours: it may be asked for again.
        let again = way.provider == "telnyx" && matches!(answers[0], (500 | SILENCE, _) | (200, "<html>"));
        assert_eq!(result, Err(DialError::Refused), "{} {answers:?}", way.provider);
        if !again {
            assert_eq!(api.asked().len(), tries, "{} {answers:?}", way.provider);
        }
    }))
    .await;
}

#[tokio::test]
async fn without_an_account_and_a_number_nobody_is_called() {
    let none = outbound("");
    for provider in ["twilio", "signalwire", "telnyx", "plivo", "vonage", "exotel", "browser"] {
        assert!(!none.can_dial(provider), "{provider}");
        assert_eq!(none.dial(provider, "k1", &number()).await, Err(DialError::Unconfigured), "{provider}");
    }
    for way in ways() {
        let section = way.section.replace("number = \"+15005550100\"", "");
        let without = Way { section, ..way };
        assert!(!without.outbound("http://127.0.0.1:1").can_dial(without.provider), "{}", without.provider);
    }
}

#[test]
fn calls_go_through_the_named_provider_or_the_callers_own_or_any_that_can() {
    let two = |named: &str| {
        let sections: String = ways()[..2].iter().map(|way| way.section("http://127.0.0.1:1")).collect();
        outbound(&format!("[outbound]\nprovider = \"{named}\"\n{sections}"))
    };
    for (named, own, through) in [
        ("", Some("signalwire"), Some("signalwire")),
        ("", Some("twilio"), Some("twilio")),
        ("", Some("exotel"), Some("twilio")),
        ("", None, Some("twilio")),
        ("signalwire", Some("twilio"), Some("signalwire")),
        ("signalwire", None, Some("signalwire")),
        // Named, and no account: nobody else's money is spent instead.
        ("telnyx", Some("twilio"), None),
    ] {
        assert_eq!(two(named).through(own), through, "{named:?} {own:?}");
    }
    assert_eq!(outbound("").through(Some("twilio")), None);
    let unknown = Config::parse("[outbound]\nprovider = \"exotel\"", std::iter::empty()).expect_err("can't call");
    assert!(unknown.to_string().contains("outbound.provider"), "{unknown}");
}

#[tokio::test]
async fn what_lands_in_a_dialplan_is_made_of_what_numbers_are_made_of() {
    let way = ways().pop().expect("asterisk");
    let api = Api::answering(&[(200, way.answer)]).await;
    let number = Pii::new("+1500,,g)\n${SHELL(x)}&2".to_owned());
    way.outbound(&api.base).dial("asterisk", "k1", &number).await.expect("yes");
    assert_eq!(api.asked()[0].json()["variables"]["WARMLINE_DIAL"], "PJSIP/+1500gSHELLx2@trunk");
}
