//! Sign-in, sessions, tokens, and pages of other sites.

use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use warmline::config::Config;
use warmline::store::UserRole;

use crate::support::site::{Site, address, request};

async fn sign_in(site: &Site, name: &str, password: &str) -> crate::support::site::Answer {
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

#[tokio::test]
async fn guessing_is_slowed_down_by_name_and_by_address() {
    let site = Site::new().await;
    let try_from = async |name: String, client: &str| {
        let mut request = request(Method::POST, "/api/v1/session", "", json!({ "name": name, "password": "guess" }));
        request.extensions_mut().insert(ConnectInfo(address(client)));
        site.send(request).await
    };
    // One name, a new address each time.
    for n in 0..8 {
        assert_eq!(try_from("kim".to_owned(), &format!("192.0.2.{n}")).await.code(), "wrong_credentials");
    }
    let refused = try_from("KIM ".to_owned(), "192.0.2.99").await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts"));
    let wait: u64 = refused.headers[header::RETRY_AFTER].to_str().expect("text").parse().expect("seconds");
    assert!((1..=11).contains(&wait), "{wait}");
    // One network, a new name each time: addresses of one /64 count as one.
    for n in 0..20 {
        assert_eq!(try_from(format!("name-{n}"), &format!("2001:db8::{n}")).await.code(), "wrong_credentials");
    }
    assert_eq!(try_from("name-20".to_owned(), "2001:db8::ffff").await.code(), "too_many_attempts");
    assert_eq!(try_from("name-20".to_owned(), "2001:db8:0:1::1").await.code(), "wrong_credentials");
}

#[tokio::test]
async fn a_proxy_on_this_machine_is_believed_about_the_client_and_nobody_else_is() {
    let site = Site::new().await;
    let try_from = async |n: u32, peer: &str, forwarded: &str| {
        let credentials = json!({ "name": format!("name-{n}"), "password": "guess" });
        let mut request = request(Method::POST, "/api/v1/session", "", credentials);
        request.headers_mut().insert("x-forwarded-for", forwarded.parse().expect("text"));
        request.extensions_mut().insert(ConnectInfo(address(peer)));
        site.send(request).await.code()
    };
    for n in 0..20 {
        // What the client itself sent stands before what the proxy added.
        assert_eq!(try_from(n, "127.0.0.1", &format!("10.0.0.{n}, 203.0.113.5")).await, "wrong_credentials");
    }
    assert_eq!(try_from(20, "127.0.0.1", "203.0.113.5").await, "too_many_attempts");
    assert_eq!(try_from(20, "127.0.0.1", "203.0.113.6").await, "wrong_credentials");
    for n in 21..41 {
        assert_eq!(try_from(n, "198.51.100.1", &format!("203.0.113.{n}")).await, "wrong_credentials");
    }
    assert_eq!(try_from(41, "198.51.100.1", "203.0.113.77").await, "too_many_attempts");
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
