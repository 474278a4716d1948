//! The OpenAPI document is complete, consistent, and true about who may do what.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use warmline::store::UserRole;

use crate::support::site::Site;

/// One operation of the document.
#[derive(Debug)]
struct Operation {
    method: Method,
    /// With made-up values for its parameters.
    path: String,
    least_role: String,
    id: String,
    /// A body of the right shape that changes nothing.
    body: Value,
}

async fn document() -> Value {
    let answer = Site::new().await.get("/api/openapi.json", "").await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.json()
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let text = |key: &str| {
                operation[key].as_str().unwrap_or_else(|| panic!("{method} {path} has no {key}")).to_owned()
            };
            let id = text("operationId");
            let body = match id.as_str() {
                "sign_in" => json!({ "name": "nobody", "password": "x" }),
                "change_password" => json!({ "old": "x", "new": "short" }),
                "add_comment" => json!({ "text": "" }),
                "put_score" => json!({}),
                "keep_scenario" => json!({ "yaml": "" }),
                "check_address" => json!({ "url": "" }),
                "preview_knowledge" => json!({ "id": "a", "text": "" }),
                "put_knowledge" => json!({ "text": "" }),
                "hear_voice" => json!({ "text": "" }),
                "reveal" => json!({ "field": "from", "reason": "" }),
                "schedule_shift" => json!({
                    "agent_id": "nobody", "began_at": "2027-01-01T08:00:00Z", "ended_at": "2027-01-01T16:00:00Z"
                }),
                "choose_telephone" => json!({ "number": "" }),
                "offer_shifts" => json!({ "began_at": "2020-01-01T08:00:00Z", "ended_at": "2020-01-01T16:00:00Z" }),
                "preview_hours" | "put_hours" => json!({ "zone": "", "weekly": [] }),
                "put_queue" => json!({ "priority": 1_000 }),
                "make_key" => json!({ "name": "", "role": "agent", "days": 1 }),
                "add_user" => json!({ "name": "not a name", "role": "agent" }),
                _ => Value::Null,
            };
            assert_eq!(operation.get("requestBody").is_some(), !body.is_null(), "{id}");
            operations.push(Operation {
                method: method.to_uppercase().parse().expect("a method"),
                path: path.replace("{id}", "01890000-0000-7000-8000-000000000000").replace("{name}", "nobody"),
                least_role: text("x-least-role"),
                id,
                body,
            });
        }
    }
    operations
}

#[tokio::test]
async fn everybody_may_do_exactly_what_the_document_says() {
    let operations = operations(&document().await);
    let everybody = [None, Some(UserRole::Agent), Some(UserRole::Supervisor), Some(UserRole::Admin)];
    for operation in &operations {
        let site = Site::new().await;
        for who in everybody {
            let cookie = match who {
                Some(role) => site.role(role).await,
                None => String::new(),
            };
            let answer = site.request(operation.method.clone(), &operation.path, &cookie, operation.body.clone()).await;
            let least = match operation.least_role.as_str() {
                "anyone" => None,
                role => Some(role.parse::<UserRole>().expect("a role")),
            };
            let told = (who >= least, who.is_some());
            match told {
                (false, false) => assert_eq!(answer.code(), "not_signed_in", "{operation:?} by {who:?}"),
                (false, true) => assert_eq!(answer.code(), "forbidden", "{operation:?} by {who:?}"),
                (true, _) => assert!(
                    answer.status.is_success() || !["not_signed_in", "forbidden"].contains(&answer.code().as_str()),
                    "{operation:?} by {who:?}: {answer:?}"
                ),
            }
        }
    }
}

/// The routes a stranger's client relies on. Removing one is a breaking change and belongs in the changelog.
#[tokio::test]
async fn the_document_lists_every_route() {
    let listed: BTreeSet<_> = operations(&document().await).into_iter().map(|operation| operation.id).collect();
    let expected = [
        "add_comment",
        "add_user",
        "audit",
        "browser_call",
        "change_password",
        "check_address",
        "choose_telephone",
        "configuration",
        "finish_message",
        "forget_telephone",
        "get_call",
        "get_knowledge",
        "get_message_audio",
        "get_recording",
        "get_redacted",
        "get_redacted_recording",
        "get_scenario",
        "give_back_shift",
        "hear_voice",
        "keep_scenario",
        "ledger",
        "knowledge_state",
        "list_calls",
        "list_hours",
        "list_keys",
        "list_knowledge",
        "list_messages",
        "list_open_shifts",
        "list_people",
        "list_prompts",
        "list_queues",
        "list_shifts",
        "list_users",
        "live",
        "mean_scores",
        "make_key",
        "metrics_agents",
        "metrics_fairness",
        "metrics_intervals",
        "metrics_live",
        "my_day",
        "offer_shifts",
        "preview_hours",
        "preview_knowledge",
        "put_hours",
        "put_knowledge",
        "put_queue",
        "put_score",
        "remove_user",
        "reset_hours",
        "reset_password",
        "reset_queue",
        "reveal",
        "release_shift",
        "revoke_key",
        "schedule_shift",
        "search_knowledge",
        "setup",
        "sign_in",
        "sign_out",
        "status",
        "take_shift",
        "telephone",
        "telephone_off",
        "telephone_on",
        "who_am_i",
        "widget",
        "withdraw_shift",
    ];
    assert_eq!(listed, expected.map(str::to_owned).into());
    assert_eq!(listed.len(), operations(&document().await).len(), "operation ids are unique");
}

/// The console's types are generated from a copy of the document. `WARMLINE_WRITE_OPENAPI=1` renews it.
#[tokio::test]
async fn the_console_is_built_from_this_document() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/console/openapi.json");
    let current = format!("{:#}\n", document().await);
    if std::env::var_os("WARMLINE_WRITE_OPENAPI").is_some() {
        std::fs::write(path, &current).expect("the copy can be written");
    }
    let copy = std::fs::read_to_string(path).expect("the copy is in the repository");
    assert!(copy == current, "{path} is out of date; WARMLINE_WRITE_OPENAPI=1 cargo test --test it openapi renews it");
}

/// What generators of clients trip over. (`openapi-spec-validator` accepts the document too.)
#[tokio::test]
async fn the_document_is_consistent() {
    let document = document().await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));

    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} points elsewhere"));
        assert!(document.pointer(pointer).is_some(), "{reference} points nowhere");
    }
    for (path, item) in document["paths"].as_object().expect("paths") {
        for operation in item.as_object().expect("operations").values() {
            assert!(operation["summary"].is_string(), "{operation} of {path} says nothing");
            for (status, response) in operation["responses"].as_object().expect("responses") {
                assert!(response["description"].is_string(), "{status} of {path} is not described");
            }
            let declared = operation["parameters"].as_array().into_iter().flatten();
            let declared: BTreeSet<_> = declared
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().expect("a name"))
                .collect();
            let used = path.split(['{', '}']).skip(1).step_by(2).collect::<BTreeSet<_>>();
            assert_eq!(declared, used, "parameters of {path}");
            let protected = operation.get("security").is_some();
            assert_eq!(protected, operation["x-least-role"] != "anyone", "security of {path}");
        }
    }
}

fn collect_references<'d>(value: &'d Value, found: &mut Vec<&'d str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| collect_references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        _ => {}
    }
}
