//! What handlers ask for: [`SignedIn`], [`Require`]`<Supervisor>`, [`ClientAddress`]; and the guard against other sites.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRef, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use axum_extra::extract::CookieJar;

use super::{Auth, AuthError, COOKIE, hash_token};
use crate::store::{UserRecord, UserRole};
use crate::web::error::ApiError;

/// How somebody proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// A browser's session cookie.
    Cookie,
    /// `Authorization: Bearer …` with a token of the account.
    Token,
    /// `Authorization: Bearer …` with a key of its own role; there is no person behind it.
    Key,
}

/// Somebody signed in, even with a one-time password they have not changed yet. For sign-out and the change itself;
/// everything else asks for [`SignedIn`].
#[derive(Clone, Debug)]
pub struct SignedInAnyway {
    /// Who.
    pub user: UserRecord,
    /// How.
    pub via: Via,
    token_hash: [u8; 32],
}

impl SignedInAnyway {
    pub(super) fn token_hash(&self) -> &[u8; 32] {
        &self.token_hash
    }
}

/// Somebody signed in, with a password of their own.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who.
    pub user: UserRecord,
    /// How.
    pub via: Via,
}

/// A least role as a type.
pub trait Role {
    /// The role.
    const ROLE: UserRole;
}

/// Supervisors and administrators.
#[derive(Clone, Copy, Debug)]
pub struct Supervisor;

impl Role for Supervisor {
    const ROLE: UserRole = UserRole::Supervisor;
}

/// Administrators.
#[derive(Clone, Copy, Debug)]
pub struct Admin;

impl Role for Admin {
    const ROLE: UserRole = UserRole::Admin;
}

/// Somebody signed in with at least the role `R`.
#[derive(Clone, Debug)]
pub struct Require<R> {
    /// Who.
    pub user: UserRecord,
    /// How.
    pub via: Via,
    role: PhantomData<R>,
}

impl<S> FromRequestParts<S> for SignedInAnyway
where
    S: Send + Sync,
    Auth: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let auth = Auth::from_ref(state);
        let (via, token) = token_of(&parts.headers).ok_or(AuthError::NotSignedIn)?;
        // A websocket opens with a GET, which the guard for changes lets through, and browsers open them across sites.
        if via == Via::Cookie && parts.headers.contains_key(header::UPGRADE) && !auth.is_same_origin(&parts.headers) {
            return Err(AuthError::CrossOrigin.into());
        }
        let token_hash = hash_token(&token);
        let (user, via) = match via {
            Via::Cookie => (auth.account(&token_hash).await?, via),
            Via::Token | Via::Key => auth.bearer(&token_hash).await?,
        };
        Ok(Self { user, via, token_hash })
    }
}

impl<S> FromRequestParts<S> for SignedIn
where
    S: Send + Sync,
    Auth: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let SignedInAnyway { user, via, .. } = SignedInAnyway::from_request_parts(parts, state).await?;
        if user.must_change_password {
            return Err(AuthError::PasswordChangeRequired.into());
        }
        Ok(Self { user, via })
    }
}

impl<S, R> FromRequestParts<S> for Require<R>
where
    S: Send + Sync,
    Auth: FromRef<S>,
    R: Role,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let SignedIn { user, via } = SignedIn::from_request_parts(parts, state).await?;
        if user.role < R::ROLE {
            return Err(AuthError::Forbidden { needs: R::ROLE }.into());
        }
        Ok(Self { user, via, role: PhantomData })
    }
}

fn token_of(headers: &HeaderMap) -> Option<(Via, String)> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        // A request that brings a token means it: a cookie beside a wrong token must not decide.
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| (Via::Token, token.trim().to_owned()));
    }
    CookieJar::from_headers(headers).get(COOKIE).map(|cookie| (Via::Cookie, cookie.value().to_owned()))
}

/// The address a request came from. Behind a proxy on this machine, the address that proxy saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    /// The client.
    pub ip: IpAddr,
    /// A proxy on this machine passed the request on.
    pub proxied: bool,
}

impl ClientAddress {
    /// `peer` is the socket's other end.
    pub fn of(headers: &HeaderMap, peer: IpAddr) -> Self {
        // Each proxy appends what it saw, so that only the last entry is not the client's own invention; and only
        // somebody on this machine may add one at all.
        let forwarded = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
        let seen = forwarded.and_then(|list| list.rsplit(',').next()).and_then(|ip| ip.trim().parse().ok());
        match seen {
            Some(ip) if peer.to_canonical().is_loopback() => Self { ip, proxied: true },
            _ => Self { ip: peer, proxied: forwarded.is_some() },
        }
    }
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        Ok(Self::of(&parts.headers, peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
    }
}

/// Refuses requests that change something and were made by a page of another site. Programs send no `Origin` and pass, and so
/// do requests with a token: no browser adds one by itself, and a cookie beside it is not looked at.
pub(in crate::web) async fn cross_origin_guard(
    State(auth): State<Auth>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let brings_token = request.headers().contains_key(header::AUTHORIZATION);
    if !request.method().is_safe() && !brings_token && !auth.is_same_origin(request.headers()) {
        return Err(AuthError::CrossOrigin.into());
    }
    Ok(next.run(request).await)
}
