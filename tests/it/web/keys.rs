//! Keys for programs: shown once, good for their role until they end.

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use warmline::store::UserRole;

use crate::support::site::{Answer, Site, request};

/// What the administrator is given.
async fn make(site: &Site, admin: &str, role: &str) -> (String, String) {
    let made = site.post("/api/v1/keys", admin, json!({ "name": " Reporting ", "role": role, "days": 30 })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let made = made.json();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    (text(&made["key"]["id"]), text(&made["token"]))
}

async fn with(site: &Site, token: &str, method: Method, path: &str, body: Value) -> Answer {
    let mut request = request(method, path, "", body);
    request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {token}").parse().expect("text"));
    site.send(request).await
}

#[tokio::test]
async fn a_key_is_shown_once_and_listed_with_its_last_use() {
    let site = Site::new().await;
    let admin = site.role(UserRole::Admin).await;
    let (id, token) = make(&site, &admin, "supervisor").await;
    assert!(token.starts_with("warmline_"));
    let list = site.get("/api/v1/keys", &admin).await;
    assert!(!String::from_utf8_lossy(&list.body).contains(&token), "it is nowhere else");
    let key = &list.json()[0];
    assert_eq!((&key["id"], &key["name"], &key["role"]), (&json!(id), &json!("Reporting"), &json!("supervisor")));
    assert_eq!(key["ending"], token[token.len() - 4..]);
    assert_eq!((&key["made_by"], &key["last_used_at"]), (&json!("id-of-some-admin"), &Value::Null));

    let me = with(&site, &token, Method::GET, "/api/v1/session", Value::Null).await.json();
    assert_eq!((&me["name"], &me["role"]), (&json!("key Reporting"), &json!("supervisor")));
    assert_eq!(with(&site, &token, Method::GET, "/api/v1/live", Value::Null).await.status, StatusCode::OK);
    assert_eq!(with(&site, &token, Method::GET, "/api/v1/keys", Value::Null).await.code(), "forbidden");
    assert!(site.get("/api/v1/keys", &admin).await.json()[0]["last_used_at"].is_string());
    let as_cookie = format!("warmline_session={token}");
    assert_eq!(site.get("/api/v1/session", &as_cookie).await.code(), "not_signed_in", "a key is no cookie");
}

#[tokio::test]
async fn a_revoked_key_opens_nothing_and_both_are_on_the_list() {
    let site = Site::new().await;
    let admin = site.role(UserRole::Admin).await;
    let (id, token) = make(&site, &admin, "agent").await;
    let end = async |id: &str| site.request(Method::DELETE, &format!("/api/v1/keys/{id}"), &admin, Value::Null).await;
    let ended = end(&id).await.json();
    assert!(ended["revoked_at"].is_string());
    assert_eq!(end(&id).await.json()["revoked_at"], ended["revoked_at"], "the first time counts");
    assert_eq!(with(&site, &token, Method::GET, "/api/v1/session", Value::Null).await.code(), "not_signed_in");
    assert_eq!(end("01890000-0000-7000-8000-000000000000").await.code(), "not_found");
    let audit = site.store.list_audit(10).await.expect("listed");
    let done: Vec<_> =
        audit.iter().map(|entry| (entry.action.as_str(), entry.detail.clone().unwrap_or_default())).collect();
    let tail = format!("Reporting (…{})", &token[token.len() - 4..]);
    assert_eq!(done[done.len() - 1], ("make_key", "Reporting (agent, 30 days)".to_owned()));
    assert_eq!(done[0], ("revoke_key", tail));
}

#[tokio::test]
async fn a_key_makes_no_keys_and_has_no_password() {
    let site = Site::new().await;
    let admin = site.role(UserRole::Admin).await;
    let (_, token) = make(&site, &admin, "admin").await;
    let another = json!({ "name": "another", "role": "admin", "days": 1 });
    assert_eq!(with(&site, &token, Method::POST, "/api/v1/keys", another).await.code(), "not_for_keys");
    let change = json!({ "old": "", "new": "a good long sentence" });
    assert_eq!(with(&site, &token, Method::POST, "/api/v1/password", change).await.code(), "not_for_keys");
    assert_eq!(with(&site, &token, Method::GET, "/api/v1/users", Value::Null).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_key_has_a_name_and_an_end() {
    let site = Site::new().await;
    let admin = site.role(UserRole::Admin).await;
    for (name, days) in [(" ", 30), ("two\nlines", 30), (&*"n".repeat(61), 30), ("x", 0), ("x", 731)] {
        let answer = site.post("/api/v1/keys", &admin, json!({ "name": name, "role": "agent", "days": days })).await;
        assert_eq!(answer.code(), "bad_request", "{name:?}, {days}");
    }
    assert_eq!(site.get("/api/v1/keys", &admin).await.json(), json!([]));
}

#[tokio::test]
async fn keys_go_with_the_account_that_made_them() {
    let site = Site::new().await;
    let (boss, other) = (site.user("boss", UserRole::Admin).await, site.role(UserRole::Admin).await);
    let boss = site.signed_in(&boss).await;
    let (_, token) = make(&site, &boss, "admin").await;
    assert_eq!(with(&site, &token, Method::GET, "/api/v1/users", Value::Null).await.status, StatusCode::OK);
    let gone = site.request(Method::DELETE, "/api/v1/users/boss", &other, Value::Null).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(with(&site, &token, Method::GET, "/api/v1/users", Value::Null).await.code(), "not_signed_in");
}

/// A browser adds no token by itself, so that where the request comes from does not matter; cookies stay guarded.
#[tokio::test]
async fn a_token_needs_no_origin_of_ours_and_a_cookie_does() {
    let site = Site::new().await;
    let admin = site.role(UserRole::Admin).await;
    let (_, token) = make(&site, &admin, "admin").await;
    let from_elsewhere = async |cookie: &str, token: Option<&str>| {
        let mut request = request(Method::POST, "/api/v1/users", cookie, json!({ "name": "?", "role": "agent" }));
        request.headers_mut().insert(header::ORIGIN, "https://elsewhere.example".parse().expect("text"));
        if let Some(token) = token {
            request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {token}").parse().expect("text"));
        }
        site.send(request).await.code()
    };
    assert_eq!(from_elsewhere("", Some(&token)).await, "bad_name", "it got as far as the handler");
    assert_eq!(from_elsewhere(&admin, None).await, "cross_origin");
    assert_eq!(from_elsewhere(&admin, Some("wrong")).await, "not_signed_in", "the cookie beside it does not count");
}
