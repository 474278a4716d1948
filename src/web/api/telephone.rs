//! Agents who take calls at their own telephones: which one, and whether.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::mask;
use super::review::audit;
use crate::config::is_telephone;
use crate::said::Said;
use crate::store::UserRecord;
use crate::telemetry::Pii;
use crate::web::auth::{AuthError, SignedIn, Via};
use crate::web::error::{ApiError, Body, Problem};
use crate::web::router::AppState;

/// Your telephone.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Telephone {
    /// Its number, masked; none: there is none for you.
    #[schema(value_type = Option<String>)]
    number: Option<Pii<String>>,
    /// You chose it; else the configuration has it.
    is_own: bool,
    /// You may choose one.
    may_choose: bool,
    /// Calls can be made through a provider.
    can_ring: bool,
    /// You take calls there now.
    is_on: bool,
}

/// A telephone to be yours.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewTelephone {
    /// A number such as `+15005550123`, or an extension. It begins with one of `handoff.telephone_prefixes`.
    #[schema(value_type = String)]
    number: Pii<String>,
}

/// Your telephone, and whether you take calls there.
#[utoipa::path(
    get, path = "/api/v1/telephone", tag = "session", operation_id = "telephone",
    responses((status = 200, description = "Your telephone", body = Telephone), (status = 401, description = "Not signed in", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn get(
    State(state): State<Arc<AppState>>,
    SignedIn { user, .. }: SignedIn,
) -> Result<Json<Telephone>, ApiError> {
    Ok(Json(telephone(&state, &user).await?))
}

/// Choose your telephone. It holds from the next time you take calls there.
#[utoipa::path(
    put, path = "/api/v1/telephone", tag = "session", operation_id = "choose_telephone",
    request_body = NewTelephone,
    responses(
        (status = 200, description = "Your telephone", body = Telephone),
        (status = 400, description = "No number, or one that may not be chosen", body = Problem),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "A key has no telephone", body = Problem),
        (status = 409, description = "Nobody may choose one, or you take calls at the one so far", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn choose(
    State(state): State<Arc<AppState>>,
    SignedIn { user, via }: SignedIn,
    Body(NewTelephone { number }): Body<NewTelephone>,
) -> Result<Json<Telephone>, ApiError> {
    may_change(&state, &user, via).await?;
    // As people write numbers; what is dialled has none of it.
    let number: String = number.reveal().chars().filter(|c| !" -/().".contains(*c)).collect();
    let prefixes = &state.config.handoff.telephone_prefixes;
    if prefixes.is_empty() {
        return Err(ApiError::Conflict(Said::new(
            "telephone_not_chosen",
            "nobody may choose a telephone here; ask your administrator",
        )));
    }
    if number.is_empty() || number == "+" || !is_telephone(&number) {
        return Err(ApiError::BadRequest(Said::new(
            "telephone_number",
            "a telephone is a number such as +15005550123, or an extension",
        )));
    }
    if !prefixes.iter().any(|prefix| number.starts_with(prefix.as_str())) {
        let known = prefixes.join(", ");
        return Err(ApiError::BadRequest(
            Said::new("telephone_prefix", format!("only numbers that begin with {known} may be chosen"))
                .with("prefixes", known),
        ));
    }
    let number = Pii::new(number);
    audit(&state, &user, "set_telephone", None, Some(mask(&number).reveal().clone())).await?;
    state.store.put_telephone(&user.id, Some(&number), Timestamp::now()).await?;
    Ok(Json(telephone(&state, &user).await?))
}

/// Forget the telephone you chose; the configuration's is yours again, if it has one.
#[utoipa::path(
    delete, path = "/api/v1/telephone", tag = "session", operation_id = "forget_telephone",
    responses(
        (status = 200, description = "Your telephone", body = Telephone),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "A key has no telephone", body = Problem),
        (status = 409, description = "You take calls there", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn forget(
    State(state): State<Arc<AppState>>,
    SignedIn { user, via }: SignedIn,
) -> Result<Json<Telephone>, ApiError> {
    may_change(&state, &user, via).await?;
    audit(&state, &user, "set_telephone", None, None).await?;
    state.store.put_telephone(&user.id, None, Timestamp::now()).await?;
    Ok(Json(telephone(&state, &user).await?))
}

/// Take calls at your telephone from now on. Again after an offer you missed: you are back. A console of yours that connects
/// later takes over.
#[utoipa::path(
    post, path = "/api/v1/telephone/on", tag = "session", operation_id = "telephone_on",
    responses(
        (status = 204, description = "You are available there"),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 404, description = "There is no telephone for you", body = Problem),
        (status = 409, description = "No calls can be made: no provider is configured for it", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn on(
    State(state): State<Arc<AppState>>,
    SignedIn { user, .. }: SignedIn,
) -> Result<StatusCode, ApiError> {
    let (number, _) = number_of(&state, &user).await?;
    let number = number.ok_or(ApiError::NotFound { what: "telephone" })?;
    let phones = state
        .phones
        .as_ref()
        .ok_or(ApiError::Conflict(Said::new("no_calls_out", "no calls can be made through any provider")))?;
    phones.on(user, number).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Take no calls at your telephone any more. A call you are on ends.
#[utoipa::path(
    post, path = "/api/v1/telephone/off", tag = "session", operation_id = "telephone_off",
    responses((status = 204, description = "You are signed out there"), (status = 401, description = "Not signed in", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn off(State(state): State<Arc<AppState>>, SignedIn { user, .. }: SignedIn) -> StatusCode {
    if let Some(phones) = &state.phones {
        phones.off(user.id).await;
    }
    StatusCode::NO_CONTENT
}

/// A telephone is a person's, and stays the same while it may ring.
async fn may_change(state: &AppState, user: &UserRecord, via: Via) -> Result<(), ApiError> {
    if via == Via::Key {
        return Err(AuthError::NotForKeys.into());
    }
    if is_on(state, user).await {
        return Err(ApiError::Conflict(Said::new("at_telephone", "you take calls at your telephone; stop that first")));
    }
    Ok(())
}

async fn is_on(state: &AppState, user: &UserRecord) -> bool {
    match &state.phones {
        Some(phones) => phones.is_on(user.id.clone()).await,
        None => false,
    }
}

/// The number, and whether its owner chose it. One that may not be chosen any more does not count.
async fn number_of(state: &AppState, user: &UserRecord) -> Result<(Option<Pii<String>>, bool), ApiError> {
    let handoff = &state.config.handoff;
    let own =
        state.store.telephone_of(&user.id).await?.filter(|number| {
            handoff.telephone_prefixes.iter().any(|prefix| number.reveal().starts_with(prefix.as_str()))
        });
    let is_own = own.is_some();
    Ok((own.or_else(|| handoff.telephones.get(&user.name).cloned().map(Pii::new)), is_own))
}

async fn telephone(state: &AppState, user: &UserRecord) -> Result<Telephone, ApiError> {
    let (number, is_own) = number_of(state, user).await?;
    Ok(Telephone {
        number: number.as_ref().map(mask),
        is_own,
        may_choose: !state.config.handoff.telephone_prefixes.is_empty(),
        can_ring: state.phones.is_some(),
        is_on: is_on(state, user).await,
    })
}
