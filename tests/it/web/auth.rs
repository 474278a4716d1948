//! Sign-in, sessions, tokens, and pages of other sites.

use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use warmline::config::Config;
use warmline::store::UserRole;

use crate::support::site::{Answer, Site, address, request};

async fn sign_in(site: &Site, name: &str, password: &str) -> Answer {
    site.post("/api/v1/session", "", json!({ "name": name, "password": password })).await
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_look_the_same() {
    let site = Site::new().await;
    site.auth.accounts().add("kim", UserRole::Agent).await.expect("added");
    let wrong = sign_in(&site, "kim", "not the password").await;
    let unknown = sign_in(&site, "nobody", "not the password").await;
    assert_eq!((wrong.status, wrong.code().as_str()), (StatusCode::UNAUTHORIZED, "wrong_credentials"));
    assert_eq!((unknown.status, &unknown.body), (wrong.status, &wrong.body));
    assert!(!wrong.headers.contains_key(header::SET_COOKIE));
}

#[tokio::test]
async fn a_one_time_password_opens_nothing_but_its_own_change() {
    let site = Site::new().await;
    let first = site.auth.accounts().ensure_first_admin().await.expect("made").expect("there was nobody");
    let one_time = first.password.expose();

    let answer = sign_in(&site, " Admin ", one_time).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.json()["must_change_password"], true);
    let old_cookie = answer.cookie();
    for path in ["/api/v1/calls", "/api/v1/users", "/api/v1/messages", "/agent/ws"] {
        let answer = site.get(path, &old_cookie).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "password_change_required"));
    }
    assert_eq!(site.get("/api/v1/session", &old_cookie).await.json()["name"], "admin");

    let change = async |old: &str, new: &str| {
        site.post("/api/v1/password", &old_cookie, json!({ "old": old, "new": new })).await
    };
    for weak in ["short", "admin12345", one_time] {
        assert_eq!(change(one_time, weak).await.code(), "weak_password", "{weak}");
    }
    assert_eq!(change("not it", "a good long sentence").await.code(), "wrong_credentials");
    let changed = change(one_time, "a good long sentence").await;
    assert_eq!((changed.status, &changed.json()["must_change_password"]), (StatusCode::OK, &Value::Bool(false)));

    assert_eq!(site.get("/api/v1/session", &old_cookie).await.status, StatusCode::UNAUTHORIZED, "old sign-ins end");
    assert_eq!(site.get("/api/v1/users", &changed.cookie()).await.status, StatusCode::OK);
    assert_eq!(sign_in(&site, "admin", one_time).await.status, StatusCode::UNAUTHORIZED);
    let again = sign_in(&site, "admin", "a good long sentence").await;
    assert_eq!(again.status, StatusCode::OK);

    let out = site.request(Method::DELETE, "/api/v1/session", &again.cookie(), Value::Null).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert!(out.headers[header::SET_COOKIE].to_str().expect("text").contains("Max-Age=0"));
    assert_eq!(site.get("/api/v1/session", &again.cookie()).await.code(), "not_signed_in");
    assert_eq!(site.get("/api/v1/session", &changed.cookie()).await.status, StatusCode::OK, "others stay signed in");
}

/// Guesses at once, so that a slow machine does not earn new attempts in between; gives the answers refused as too many.
async fn guess(site: &Site, guesses: impl Iterator<Item = (String, String, String)>) -> Vec<Answer> {
    let attempts = guesses.map(async |(name, peer, forwarded)| {
        let mut request = request(Method::POST, "/api/v1/session", "", json!({ "name": name, "password": "guess" }));
        if !forwarded.is_empty() {
            request.headers_mut().insert("x-forwarded-for", forwarded.parse().expect("text"));
        }
        request.extensions_mut().insert(ConnectInfo(address(&peer)));
        site.send(request).await
    });
    let answers = futures::future::join_all(attempts).await;
    // Many at once may also be told to wait for their turn.
    assert!(
        answers
            .iter()
            .all(|answer| { ["wrong_credentials", "busy", "too_many_attempts"].contains(&answer.code().as_str()) })
    );
    answers.into_iter().filter(|answer| answer.code() == "too_many_attempts").collect()
}

#[tokio::test]
async fn guessing_is_slowed_down_by_name_and_by_address() {
    let site = Site::new().await;
    // One name, a new address each time.
    let names = ["kim", "KIM", " kim "].into_iter().cycle().enumerate().take(11);
    let refused = guess(&site, names.map(|(n, name)| (name.to_owned(), format!("192.0.2.{n}"), String::new()))).await;
    assert_eq!(refused.len(), 3);
    assert_eq!(refused[0].status, StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = refused[0].headers[header::RETRY_AFTER].to_str().expect("text").parse().expect("seconds");
    assert!((1..=11).contains(&wait), "{wait}");
    // One network, a new name each time: addresses of one /64 count as one.
    let from = |network: &str| {
        let network = network.to_owned();
        (0..22).map(move |n| (format!("name-{n}"), format!("{network}::{n}"), String::new()))
    };
    assert_eq!(guess(&site, from("2001:db8")).await.len(), 2);
    assert_eq!(guess(&site, from("2001:db8:0:1")).await.len(), 2, "the next network starts afresh");
}

#[tokio::test]
async fn a_proxy_on_this_machine_is_believed_about_the_client_and_nobody_else_is() {
    let site = Site::new().await;
    let through = |peer: &str, forwarded: fn(u32) -> String| {
        let peer = peer.to_owned();
        (0..22).map(move |n| (format!("{peer}-{n}"), peer.clone(), forwarded(n)))
    };
    // What the client itself sent stands before what the proxy added.
    let one_client = |n| format!("10.0.0.{n}, 203.0.113.5");
    let many_clients = |n| format!("203.0.113.{}", 100 + n);
    assert_eq!(guess(&site, through("127.0.0.1", one_client)).await.len(), 2);
    assert_eq!(guess(&site, through("127.0.0.2", many_clients)).await.len(), 0);
    assert_eq!(guess(&site, through("198.51.100.1", many_clients)).await.len(), 2, "not a proxy of ours");
}

#[tokio::test]
async fn the_cookie_is_kept_from_scripts_and_other_sites() {
    let mut config = Config::default();
    for (url, secure) in [("http://127.0.0.1:8080", false), ("https://voice.example.com/base/", true)] {
        config.server.public_url = url.to_owned();
        let site = Site::with(config.clone()).await;
        let first = site.auth.accounts().ensure_first_admin().await.expect("made").expect("there was nobody");
        let answer = sign_in(&site, "admin", first.password.expose()).await;
        let cookie = answer.headers[header::SET_COOKIE].to_str().expect("text");
        for part in ["warmline_session=", "; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=43200"] {
            assert!(cookie.contains(part), "{part} is not in {cookie}");
        }
        assert_eq!(cookie.contains("; Secure"), secure, "{cookie}");
        assert_eq!(answer.headers.contains_key(header::STRICT_TRANSPORT_SECURITY), secure);
    }
}

#[tokio::test]
async fn pages_of_other_sites_change_nothing_and_open_no_socket() {
    let mut config = Config::default();
    config.server.public_url = "https://voice.example.com".to_owned();
    let site = Site::with(config).await;
    let cookie = site.role(UserRole::Admin).await;
    let cases: [(&[(&str, &str)], bool); 9] = [
        (&[], true), // a program
        (&[("origin", "https://voice.example.com")], true),
        (&[("origin", "https://voice.example.com"), ("sec-fetch-site", "cross-site")], true), // as behind a proxy
        (&[("origin", "http://warmline.test")], true),                                        // the Host sent
        (&[("sec-fetch-site", "same-origin"), ("origin", "https://elsewhere.example")], true),
        (&[("origin", "https://elsewhere.example")], false),
        (&[("origin", "null")], false),
        (&[("sec-fetch-site", "same-site"), ("origin", "http://warmline.test")], false),
        (&[("sec-fetch-site", "cross-site")], false),
    ];
    for (headers, allowed) in cases {
        let mut change = request(Method::POST, "/api/v1/users", &cookie, json!({ "name": "?", "role": "agent" }));
        let mut socket = request(Method::GET, "/agent/ws", &cookie, Value::Null);
        socket.headers_mut().insert(header::UPGRADE, "websocket".parse().expect("text"));
        for &(name, value) in headers {
            change.headers_mut().insert(name, value.parse().expect("text"));
            socket.headers_mut().insert(name, value.parse().expect("text"));
        }
        let expected = if allowed { "bad_name" } else { "cross_origin" };
        assert_eq!(site.send(change).await.code(), expected, "{headers:?}");
        let opened = site.send(socket).await;
        assert_eq!(opened.status == StatusCode::OK, allowed, "{headers:?} {opened:?}");
    }
}

#[tokio::test]
async fn programs_use_tokens() {
    let site = Site::new().await;
    let user = site.user("robot", UserRole::Supervisor).await;
    let token = site.auth.accounts().api_token("robot", Duration::from_secs(60)).await.expect("made");
    let expired = site.auth.accounts().api_token("robot", Duration::ZERO).await.expect("made");
    let cookie = site.signed_in(&user).await;
    let with = async |authorization: String, cookie: &str| {
        let mut request = request(Method::GET, "/api/v1/session", cookie, Value::Null);
        request.headers_mut().insert(header::AUTHORIZATION, authorization.parse().expect("text"));
        site.send(request).await.status
    };
    assert_eq!(with(format!("Bearer {}", token.expose()), "").await, StatusCode::OK);
    assert_eq!(with(format!("bearer {}", token.expose()), "").await, StatusCode::OK);
    assert_eq!(with(format!("Basic {}", token.expose()), "").await, StatusCode::UNAUTHORIZED);
    assert_eq!(with(format!("Bearer {}", expired.expose()), "").await, StatusCode::UNAUTHORIZED);
    assert_eq!(with("Bearer".to_owned(), "").await, StatusCode::UNAUTHORIZED);
    assert_eq!(with("Bearer wrong".to_owned(), &cookie).await, StatusCode::UNAUTHORIZED, "the cookie does not help");
    assert!(site.auth.accounts().api_token("nobody", Duration::ZERO).await.is_err());
}
