//! The REST API under `/api/v1`, described at `/api/openapi.json`.
//!
//! Every operation says in `x-least-role` who may use it: `anyone`, `agent`, `supervisor` or `admin`; a test holds each
//! of them to it. Errors have one shape, [`super::error::Problem`].

mod calls;
mod configuration;
mod day;
mod hours;
mod keys;
mod knowledge;
mod knowledge_edit;
mod ledger;
mod live;
mod messages;
pub(crate) mod metrics;
mod open_shifts;
mod queues;
mod recordings;
mod redacted_audio;
mod review;
mod session;
mod setup;
mod shifts;
mod status;
mod telephone;
mod users;

use std::sync::Arc;

use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::{Json, Router, routing};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, License, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::COOKIE;
use super::router::AppState;
use super::webhooks::browser;
use crate::telemetry::Pii;

/// The API with its description. `browser-call` is described here too, but served beside the media it opens.
pub(super) fn router(state: Arc<AppState>) -> Router {
    let (router, document) = documented().with_state(state).split_for_parts();
    let document = Arc::new(describe(document));
    let own_document = routing::get(async move || Json(document.clone()));
    // Answers depend on who asks and change from one moment to the next.
    let no_store = SetResponseHeaderLayer::if_not_present(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    router.layer(no_store).route("/api/openapi.json", own_document)
}

/// The OpenAPI document of this version.
pub fn openapi() -> OpenApi {
    describe(documented().into_openapi())
}

fn documented() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(session::sign_in, session::sign_out, session::who_am_i))
        .routes(routes!(session::change_password))
        .routes(routes!(users::list, users::add))
        .routes(routes!(users::remove))
        .routes(routes!(users::reset_password))
        .routes(routes!(keys::list, keys::make))
        .routes(routes!(keys::revoke))
        .routes(routes!(calls::list))
        .routes(routes!(calls::get))
        .routes(routes!(calls::recording))
        .routes(routes!(review::add_comment))
        .routes(routes!(review::put_score))
        .routes(routes!(review::mean_scores))
        .routes(routes!(review::redacted))
        .routes(routes!(redacted_audio::redacted_recording))
        .routes(routes!(review::get_scenario, review::keep_scenario))
        .routes(routes!(review::reveal))
        .routes(routes!(day::day))
        .routes(routes!(knowledge::list))
        .routes(routes!(knowledge::search))
        .routes(routes!(knowledge::state))
        .routes(routes!(knowledge_edit::preview))
        .routes(routes!(knowledge_edit::get, knowledge_edit::put))
        .routes(routes!(setup::setup))
        .routes(routes!(setup::check))
        .routes(routes!(configuration::configuration))
        .routes(routes!(configuration::prompts))
        .routes(routes!(queues::list))
        .routes(routes!(queues::put, queues::reset))
        .routes(routes!(hours::list))
        .routes(routes!(hours::put, hours::reset))
        .routes(routes!(hours::preview))
        .routes(routes!(configuration::voice))
        .routes(routes!(messages::list))
        .routes(routes!(messages::done))
        .routes(routes!(messages::audio))
        .routes(routes!(ledger::ledger))
        .routes(routes!(live::live))
        .routes(routes!(live::audit))
        .routes(routes!(shifts::list, shifts::schedule))
        .routes(routes!(shifts::release))
        .routes(routes!(open_shifts::list, open_shifts::offer))
        .routes(routes!(open_shifts::withdraw))
        .routes(routes!(open_shifts::take))
        .routes(routes!(open_shifts::give_back))
        .routes(routes!(open_shifts::people))
        .routes(routes!(telephone::get, telephone::choose, telephone::forget))
        .routes(routes!(telephone::on))
        .routes(routes!(telephone::off))
        .routes(routes!(metrics::live))
        .routes(routes!(metrics::intervals))
        .routes(routes!(metrics::agents))
        .routes(routes!(metrics::fairness))
        .routes(routes!(status::status))
        .routes(routes!(status::widget))
}

fn describe(mut document: OpenApi) -> OpenApi {
    document.merge(browser::openapi());
    document.merge(super::agent::schemas());
    document.info = InfoBuilder::new()
        .title("Warmline")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Calls, messages and accounts of a Warmline server. Sign in with `POST /api/v1/session` (a cookie) or send \
             a key from the console, or a token from `warmline user token`, as `Authorization: Bearer …`. `x-least-role` says who may use an \
             operation. Errors are `{code, message}`: the code is stable, the message is for people.",
        ))
        .license(Some(License::new("Apache-2.0")))
        .build();
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(COOKIE)));
    let token = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("session", cookie);
    components.add_security_scheme("token", token);
    document
}

/// A number without all but its last two digits, for those with no reason to see it: `…34`.
fn mask(number: &Pii<String>) -> Pii<String> {
    let number = number.reveal();
    // Two digits of a number of three would be most of it.
    let digits: Vec<char> = number.chars().filter(char::is_ascii_digit).collect();
    let shown = if digits.len() < 6 { &[] } else { &digits[digits.len() - 2..] };
    Pii::new(format!("…{}", shown.iter().collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masking_leaves_two_digits_of_a_real_number_and_nothing_of_the_rest() {
        for (number, masked) in [("+15550001234", "…34"), ("911", "…"), ("kim@example.com", "…"), ("", "…")] {
            assert_eq!(mask(&Pii::new(number.to_owned())).reveal(), masked, "{number}");
        }
    }
}
