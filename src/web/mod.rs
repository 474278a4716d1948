//! The HTTP surface. All routes stand in [`router`]; [`error`] is the only place that maps errors to HTTP.

pub mod agent;
pub mod api;
pub mod auth;
pub mod carrier;
pub mod console;
pub mod error;
pub mod gate;
pub mod health;
pub mod live;
pub mod media;
pub mod moving;
pub mod outbound;
pub mod router;
pub mod tokens;
pub mod webhooks;
